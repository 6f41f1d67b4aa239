"""The tables of a profile's store, as numbered migrations.

Owns the schema. The file is encrypted as a whole (SQLite3 Multiple Ciphers), so columns are plain. Row ids
are never used again (AUTOINCREMENT), because the running program keeps them across transactions. `sequences`
outlives its contact: a stream that began again at 1 would be taken for old messages. `waiting` is the size
of the outbox, kept by triggers so that no message pays for the ones before it.
"""

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

    CREATE TABLE relays (origin TEXT PRIMARY KEY, relay_key BLOB NOT NULL) WITHOUT ROWID;

    CREATE TABLE own_lists (version INTEGER PRIMARY KEY, device_list BLOB NOT NULL);

    CREATE TABLE prekeys (
        kind INTEGER NOT NULL, id INTEGER NOT NULL,
        private BLOB NOT NULL, public BLOB NOT NULL,
        published INTEGER NOT NULL DEFAULT 0, replaced INTEGER,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;

    CREATE TABLE handshakes (id BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE contacts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        account_key BLOB NOT NULL UNIQUE,
        relay TEXT NOT NULL, status TEXT NOT NULL,
        device_list BLOB, alarm TEXT, stale INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE devices (
        device_key BLOB PRIMARY KEY,
        contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        sealing BLOB, newest_signed INTEGER NOT NULL DEFAULT 0, told_sealing INTEGER NOT NULL DEFAULT 0,
        refreshed INTEGER NOT NULL DEFAULT 0, sessions BLOB
    );
    CREATE INDEX devices_by_contact ON devices (contact);

    CREATE TABLE sequences (device_key BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id BLOB NOT NULL,
        contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        outgoing INTEGER NOT NULL, kind INTEGER NOT NULL, body BLOB NOT NULL,
        sent_ms INTEGER NOT NULL, sort_ms INTEGER NOT NULL,
        device BLOB, stream BLOB, sequence INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL, extensions BLOB NOT NULL DEFAULT x'',
        late INTEGER NOT NULL DEFAULT 0, missing INTEGER NOT NULL DEFAULT 0,
        sealed INTEGER NOT NULL DEFAULT 0, handed INTEGER NOT NULL DEFAULT 0,
        hold_until_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (contact, outgoing, message_id)
    );
    CREATE INDEX messages_by_id ON messages (message_id);
    CREATE INDEX messages_in_order ON messages (contact, sort_ms, sequence);
    CREATE INDEX messages_by_stream ON messages (device, stream, sequence)
        WHERE outgoing = 0 AND kind IN (1, 7);
    CREATE INDEX messages_unsealed ON messages (contact, id) WHERE outgoing = 1 AND sealed = 0;
    CREATE INDEX messages_unhanded ON messages (sort_ms, sequence, id) WHERE outgoing = 0 AND handed < 2;
    CREATE INDEX messages_held ON messages (device, stream, sequence) WHERE hold_until_ms > 0;

    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        frame_id BLOB NOT NULL UNIQUE,
        contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        mailbox BLOB NOT NULL, envelope BLOB NOT NULL,
        message INTEGER REFERENCES messages ON DELETE CASCADE
    );
    CREATE INDEX outbox_by_contact ON outbox (contact, id);
    CREATE INDEX outbox_by_message ON outbox (message);

    CREATE TABLE sent (
        device_key BLOB NOT NULL, sequence INTEGER NOT NULL,
        message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        PRIMARY KEY (device_key, sequence)
    ) WITHOUT ROWID;
    CREATE INDEX sent_by_message ON sent (message);

    CREATE TABLE received (
        device_key BLOB NOT NULL, stream BLOB NOT NULL,
        ranges BLOB NOT NULL, owed INTEGER NOT NULL DEFAULT 0, shown INTEGER NOT NULL DEFAULT 0,
        at INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (device_key, stream)
    ) WITHOUT ROWID;
    CREATE INDEX received_owed ON received (device_key) WHERE owed = 1;

    CREATE TABLE consumed (hash BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX consumed_by_time ON consumed (at);

    CREATE TABLE waiting (count INTEGER NOT NULL, bytes INTEGER NOT NULL);
    INSERT INTO waiting VALUES (0, 0);
    CREATE TRIGGER frame_waits AFTER INSERT ON outbox WHEN new.message IS NOT NULL BEGIN
        UPDATE waiting SET count = count + 1, bytes = bytes + length(new.envelope);
    END;
    CREATE TRIGGER frame_is_gone AFTER DELETE ON outbox WHEN old.message IS NOT NULL BEGIN
        UPDATE waiting SET count = count - 1, bytes = bytes - length(old.envelope);
    END;
    CREATE TRIGGER message_waits AFTER INSERT ON messages WHEN new.outgoing = 1 AND new.sealed = 0 BEGIN
        UPDATE waiting SET count = count + 1, bytes = bytes + length(new.body);
    END;
    CREATE TRIGGER message_is_sealed AFTER UPDATE OF sealed ON messages
    WHEN new.outgoing = 1 AND old.sealed = 0 AND new.sealed = 1 BEGIN
        UPDATE waiting SET count = count - 1, bytes = bytes - length(old.body);
    END;
    CREATE TRIGGER message_waits_again AFTER UPDATE OF sealed ON messages
    WHEN new.outgoing = 1 AND old.sealed = 1 AND new.sealed = 0 BEGIN
        UPDATE waiting SET count = count + 1, bytes = bytes + length(new.body);
    END;
    CREATE TRIGGER message_is_gone AFTER DELETE ON messages WHEN old.outgoing = 1 AND old.sealed = 0 BEGIN
        UPDATE waiting SET count = count - 1, bytes = bytes - length(old.body);
    END;
    """,
    """
    -- What a contact gave us, what we give it, and what the user decided about it. The `shares_` columns are
    -- NULL where a contact is treated as all others are.
    ALTER TABLE contacts ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE contacts ADD COLUMN verified INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN token BLOB;
    ALTER TABLE contacts ADD COLUMN presence BLOB;
    ALTER TABLE contacts ADD COLUMN shares_presence INTEGER;
    ALTER TABLE contacts ADD COLUMN shares_typing INTEGER;
    ALTER TABLE contacts ADD COLUMN shares_read INTEGER;

    -- Which version of our card a device was told, and up to where it has read our stream.
    ALTER TABLE devices ADD COLUMN told_card INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE devices ADD COLUMN told_card_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE devices ADD COLUMN read_ours INTEGER NOT NULL DEFAULT 0;

    -- Up to where our user has read a stream, and whether its sender is still to be told.
    ALTER TABLE received ADD COLUMN read_through INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE received ADD COLUMN read_owed INTEGER NOT NULL DEFAULT 0;
    -- The sequence of the last card that came in it.
    ALTER TABLE received ADD COLUMN card INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX received_read_owed ON received (device_key) WHERE read_owed = 1;

    ALTER TABLE messages ADD COLUMN reply_to BLOB;
    ALTER TABLE messages ADD COLUMN key TEXT;
    ALTER TABLE messages ADD COLUMN failed TEXT;
    ALTER TABLE messages ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
    UPDATE messages SET seen = 1;
    CREATE UNIQUE INDEX messages_by_key ON messages (contact, key) WHERE key IS NOT NULL;
    CREATE INDEX messages_unseen ON messages (contact, sort_ms, sequence)
        WHERE outgoing = 0 AND seen = 0 AND kind IN (1, 7);
    -- Since when a relay has it, in Unix milliseconds.
    ALTER TABLE messages ADD COLUMN accepted_ms INTEGER NOT NULL DEFAULT 0;
    UPDATE messages SET accepted_ms = sent_ms WHERE outgoing = 1;
    CREATE INDEX messages_on_the_way ON messages (accepted_ms)
        WHERE outgoing = 1 AND status IN ('requested', 'accepted');

    -- Which of our messages a device has receipted and not read. A row goes when it is read.
    ALTER TABLE sent ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX sent_not_delivered ON sent (device_key, sequence) WHERE delivered = 0;
    CREATE INDEX sent_not_read ON sent (device_key, sequence) WHERE delivered = 1;

    -- How many of a contact's messages nobody has seen, so that looking at a contact does not count them.
    ALTER TABLE contacts ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
    CREATE TRIGGER message_is_unread AFTER INSERT ON messages
    WHEN new.outgoing = 0 AND new.seen = 0 AND new.kind IN (1, 7) BEGIN
        UPDATE contacts SET unread = unread + 1 WHERE id = new.contact;
    END;
    CREATE TRIGGER message_is_seen AFTER UPDATE OF seen ON messages
    WHEN old.outgoing = 0 AND old.seen = 0 AND new.seen = 1 AND old.kind IN (1, 7) BEGIN
        UPDATE contacts SET unread = unread - 1 WHERE id = new.contact;
    END;
    CREATE TRIGGER message_has_moved AFTER UPDATE OF contact ON messages
    WHEN new.outgoing = 0 AND new.seen = 0 AND new.kind IN (1, 7) BEGIN
        UPDATE contacts SET unread = unread - 1 WHERE id = old.contact;
        UPDATE contacts SET unread = unread + 1 WHERE id = new.contact;
    END;
    CREATE TRIGGER message_is_gone_unread AFTER DELETE ON messages
    WHEN old.outgoing = 0 AND old.seen = 0 AND old.kind IN (1, 7) BEGIN
        UPDATE contacts SET unread = unread - 1 WHERE id = old.contact;
    END;

    -- Our own delivery tokens that a relay still takes: for contacts, in the address line, and those before
    -- them. `until` is NULL for the current ones, else Unix seconds.
    CREATE TABLE tokens (token BLOB PRIMARY KEY, purpose TEXT NOT NULL, until INTEGER) WITHOUT ROWID;

    -- Words of the history, for searching: three characters at a time, so that it works in every script.
    CREATE VIRTUAL TABLE words USING fts5(text, content='', contentless_delete=1, tokenize='trigram');
    INSERT INTO words (rowid, text) SELECT id, CAST(body AS TEXT) FROM messages WHERE kind = 1;
    CREATE TRIGGER message_has_words AFTER INSERT ON messages WHEN new.kind = 1 BEGIN
        INSERT INTO words (rowid, text) VALUES (new.id, CAST(new.body AS TEXT));
    END;
    CREATE TRIGGER message_had_words AFTER DELETE ON messages WHEN old.kind = 1 BEGIN
        DELETE FROM words WHERE rowid = old.id;
    END;
    """,
    """
    -- Whom to look for though no message waits: to learn its newest device list, or to tell it of ours.
    ALTER TABLE contacts ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX contacts_due ON contacts (id) WHERE due = 1;
    -- Openings whose device list is more than one version ahead, until the lists between are known.
    CREATE TABLE deferred (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        envelope BLOB NOT NULL, is_request INTEGER NOT NULL
    );
    CREATE INDEX deferred_by_contact ON deferred (contact, id);

    -- What a relay has accepted stays in the outbox until the recipient's receipt, so that the very same
    -- bytes can be put again; `waiting` counts what no relay has accepted.
    ALTER TABLE outbox ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
    DROP INDEX outbox_by_contact;
    CREATE INDEX outbox_to_send ON outbox (contact, id) WHERE accepted = 0;
    DROP TRIGGER frame_is_gone;
    CREATE TRIGGER frame_is_gone AFTER DELETE ON outbox
    WHEN old.message IS NOT NULL AND old.accepted = 0 BEGIN
        UPDATE waiting SET count = count - 1, bytes = bytes - length(old.envelope);
    END;
    CREATE TRIGGER frame_is_accepted AFTER UPDATE OF accepted ON outbox
    WHEN new.message IS NOT NULL AND old.accepted = 0 AND new.accepted = 1 BEGIN
        UPDATE waiting SET count = count - 1, bytes = bytes - length(old.envelope);
    END;
    CREATE TRIGGER frame_waits_again AFTER UPDATE OF accepted ON outbox
    WHEN new.message IS NOT NULL AND old.accepted = 1 AND new.accepted = 0 BEGIN
        UPDATE waiting SET count = count + 1, bytes = bytes + length(new.envelope);
    END;
    -- How often a message was put again for want of a receipt.
    ALTER TABLE messages ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0;

    -- What is to be encrypted again for a device, under the same sequence.
    ALTER TABLE sent ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX sent_again ON sent (device_key, sequence) WHERE again = 1;

    -- What is owed to or granted to a device when something went wrong, and how often that was of late.
    CREATE TABLE repairs (
        device_key BLOB NOT NULL, what TEXT NOT NULL,
        due INTEGER NOT NULL DEFAULT 0, count INTEGER NOT NULL DEFAULT 0,
        not_before INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (device_key, what)
    ) WITHOUT ROWID;
    """,
    """
    -- The newest REPAIR of a device: its stream, sequence and time. What was written before it does not
    -- decide which session sends.
    ALTER TABLE devices ADD COLUMN repaired BLOB;
    """,
)

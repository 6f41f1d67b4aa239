"""A whole account: a backup of it, its move to another machine, what the relay holds of it, and its end."""

import json

from clients.audit.driving.people import Person
from clients.audit.driving.scenes.cast import Cast, expect
from clients.config import BACKUP_PASSPHRASE_VARIABLE


async def moves(cast: Cast) -> None:
    """Carol's account goes on at another machine; Bob makes a backup by a command."""
    stage, alice, carol = cast.stage, cast.alice, cast.carol
    file = stage.directory / stage.canary("backup.file", "{}.blindpost")
    passphrase = stage.canary("backup.passphrase")
    await carol.call("backup", file=str(file), passphrase=passphrase)
    await carol.event(lambda event: event["event"] == "backup" and event["written"])
    number = await carol.call("safety_number", name=cast.names[carol, alice])
    await carol.stop()
    machine = stage.person("carol's new machine")
    secret = {BACKUP_PASSPHRASE_VARIABLE: passphrase}
    made = await machine.run("restore", str(file), variables=secret)
    expect(made[0]["registered"] and made[0]["told"], "a restored device did not get to its relay")
    cast.names[machine, alice] = cast.names[carol, alice]
    cast.names[alice, machine] = cast.names[alice, carol]
    cast.carol = machine
    await machine.start()
    again = await machine.call("safety_number", name=cast.names[machine, alice])
    expect(again["safety_number"] == number["safety_number"], "a safety number is another after a restore")
    await cast.tell(machine, alice, stage.canary("send.text", "from my new machine {}"))
    sent = await cast.tell(alice, machine, stage.canary("send.text", "to your new machine {}"))
    await cast.comes(alice, sent, "delivered")
    stage.did("a backup, and its restore as a new device, which goes on with all contacts")


async def by_commands(cast: Cast) -> None:
    """The same of Bob's, by commands: a backup, and what the relay holds."""
    stage, bob = cast.stage, cast.bob
    file = stage.directory / stage.canary("backup FILE", "{}.blindpost")
    secret = stage.directory / stage.canary("--backup-passphrase-file", "{}.txt")
    secret.write_text(stage.canary("--backup-passphrase-file"), encoding="utf-8")
    await bob.run("backup", str(file), "--backup-passphrase-file", str(secret))
    held = stage.directory / stage.canary("account export --output", "{}.json")
    await bob.run("account", "export", "-o", str(held))
    records = [json.loads(line) for line in held.read_text("utf-8").splitlines()]
    expect(any(record["held"] == "account" for record in records), "the relay holds no account")
    stage.did("`backup` and `account export`")
    checks = await bob.run("doctor")
    expect(len(checks) > 3, "`doctor` did not look at much")
    stage.did("`doctor`")


async def held(person: Person) -> int:
    """How many records the relay holds of an account."""
    count, page = 0, await person.call("export_account")
    while True:
        count += len(page["records"])
        if page["place"] is None:
            return count
        page = await person.call("export_account", place=page["place"])


async def ends(cast: Cast) -> None:
    """Carol deletes her account; who writes to her then is told, and Bob's address line is renewed."""
    stage, alice, carol = cast.stage, cast.alice, cast.carol
    expect(await held(carol) > 3, "the relay holds nothing of an account")
    stage.did("what the relay holds of an account, shown to its owner")
    gone = await carol.call("delete_account")
    expect(gone["wiped"] is True, "an account was not wiped from the relay's files")
    await cast.dave.run("account", "delete", "--yes")
    stage.did("accounts, deleted by a call and by a command")
    before = len(alice.heard)
    await alice.call("send", to=cast.names[alice, carol], text=stage.canary("send.text", "are you there? {}"))
    await cast.hears_of_a_problem(alice, cast.names[alice, carol], before)
    stage.did("a text to an account that was deleted: said to the sender")

#!/bin/sh
# Tell a contact, once a day, that a file system is nearly full. From a crontab, with `blindpost` on its PATH:
#
#   */10 * * * *  /path/to/examples/alert.sh ops /var 90
#
# The id makes every further run of the day the same message, which is sent once. Exit code 4 of `send` means
# that the message waits for the relay here, and goes out with the next run: no reason for cron to complain.
set -eu
contact=${1:?"usage: alert.sh CONTACT [DIRECTORY [PERCENT]]"} directory=${2:-/} limit=${3:-90}

used=$(df -P "$directory" | awk 'NR == 2 { sub("%", "", $5); print $5 }')
[ "$used" -ge "$limit" ] || exit 0

text="$(uname -n): $directory is more than $limit % full"
blindpost send "$contact" "$text" --id "disk $directory $limit $(date +%F)" --timeout 5 >/dev/null || [ $? -eq 4 ]

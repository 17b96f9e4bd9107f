#!/usr/bin/env bash
# What a person does on the fresh machine: the README's commands, and what they say is missing.
#   fresh_steps.sh all|none|STEPS      the argument says which steps of scripts/test are run
set -euo pipefail
cd "$HOME/fieldkit"
FIXES_MAX=5

# Runs the command until it stops asking for packages; does each `fix: … apt-get …` word for word.
with_fixes() {
    local log fix
    log=$(mktemp)
    for _ in $(seq "$FIXES_MAX"); do
        if "$@" >"$log" 2>&1; then return 0; fi
        grep '^  fix: .*apt-get install' "$log" >"$log.fixes" || { tail -20 "$log"; return 1; }
        while read -r _ fix; do
            echo "   it says: $fix"
            bash -c "${fix%%apt-get*}apt-get update -qq && $fix" >"$log.done" 2>&1 </dev/null || { tail -5 "$log.done"; return 1; }
        done <"$log.fixes"
    done
    tail -20 "$log"
    return 1
}

begun=$SECONDS
with_fixes scripts/demo --build-only
echo "   scripts/demo --build-only: built in $((SECONDS - begun)) s"

# The build is there; what follows is the demo alone. The page is built again, which is quick.
told=$(mktemp)
scripts/demo --no-open --listen 127.0.0.1:18080 >"$told" 2>&1 &
demo=$!
trap 'kill "$demo" 2>/dev/null || true' EXIT
end=$((SECONDS + 120))
until grep -q '^READY ' "$told"; do
    kill -0 "$demo" 2>/dev/null && [ "$SECONDS" -lt "$end" ] || { cat "$told"; exit 1; }
    sleep 0.05
done
url=$(awk '/^READY /{print $2; exit}' "$told")
echo "   $url is ready"
node -e '
const sale = { lines: [{ sku: "MUG", quantity: 1 }], tenders: [{ kind: "cash", amount: { minor: 2000, currency: "EUR" } }] };
const headers = { "Content-Type": "application/json", "Idempotency-Key": "fresh-1" };
fetch(process.argv[1] + "api/v1/orders", { method: "POST", headers, body: JSON.stringify(sale) }).then(async (reply) => {
  const order = await reply.json();
  if (reply.status !== 201) throw new Error(JSON.stringify(order));
  const page = await (await fetch(process.argv[1])).text();
  if (!page.includes("<script")) throw new Error("no till page");
  console.log(`   sold: receipt ${order.series}-${order.receipt}, change ${order.change.minor}`);
});' "$url"
kill -INT "$demo"
wait "$demo" && echo "   Ctrl-C ends it with exit code 0"
trap - EXIT

if [ "$1" != none ]; then
    begun=$SECONDS
    # Step names hold no blanks: the words are split on purpose.
    if [ "$1" = all ]; then scripts/test; else scripts/test --only $1; fi
    echo "   scripts/test: in $((SECONDS - begun)) s"
fi

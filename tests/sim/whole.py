"""Makes one line of JSON of what the parts of `scripts/sim` printed last. Without dependencies."""

import json
import sys
from pathlib import Path


def last(parts, name):
    lines = (Path(parts) / name).read_text().splitlines()
    return json.loads(lines[-1]) if lines else {}


def main(parts):
    alone, several = last(parts, "alone"), last(parts, "several")
    rules, planted = last(parts, "rules"), last(parts, "planted")
    sums = {name: alone[name] + several[name] for name in ("seeds", "events", "sales", "faults", "violations")}
    whole = {
        **sums,
        "events_per_minute": min(alone["events_per_minute"], several["events_per_minute"]),
        "sales_a_seed": {"alone": alone["sales"] / alone["seeds"], "several": several["sales"] / several["seeds"]},
        "faults_a_seed": {"alone": alone["faults"] / alone["seeds"], "several": several["faults"] / several["seeds"]},
        "oversold": several["unnamed"],
        "oversold_by_words": several["oversold"] - several["unnamed"],
        "oversold_rules_off": rules["oversold_rules_off"],
        "oversold_rules_on": rules["oversold_rules_on"],
        "attempts": several["attempts"],
        "refused_while_unsold_elsewhere": several["refused_while_unsold_elsewhere"],
        "starts_without_a_link": several["starts_without_a_link"],
        "sold_within_5_s": several["sold_within_5_s"],
        "rare_states_missing": alone["rare_states_missing"] + several["rare_states_missing"],
        "planted": planted["planted"],
        "planted_found": planted["planted_found"],
    }
    print(json.dumps(whole))


main(sys.argv[1])

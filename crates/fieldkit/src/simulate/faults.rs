//! Faults on demand: the lines of a script and of standard input.
//!
//! Promises: a line that is not understood changes nothing and is answered with the nearest word; a script is read whole
//! before anything is opened.
//! Absent on purpose: what a fault does (the machines know), and when a line of the script is due (`beginnings`).

use fieldkit_core::money::Currency;
use fieldkit_drivers::terminal_peer::{FAULT_HELP, Fault, FaultError};
use std::collections::VecDeque;

/// A line for a transaction that goes well.
const FINE: &str = "ok";
/// Between faults that meet in one transaction.
const AND: &str = " + ";

/// Faults, one line for each transaction, in their order.
#[derive(Debug, Default)]
pub struct Script(VecDeque<Vec<Fault>>);

impl Script {
    /// Reads a script; the refusal names the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let numbered = text.lines().enumerate();
        let lines = numbered.map(|(at, line)| read(line).map_err(|why| format!("line {}: {why}", at + 1)));
        let lines = lines.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Script(lines))
    }
    /// What the next transaction is to meet.
    pub fn next(&mut self) -> Vec<Fault> {
        self.0.pop_front().unwrap_or_default()
    }
}

/// The faults of a line; `None` for an empty one. `#` begins a comment.
pub fn read(line: &str) -> Result<Option<Vec<Fault>>, String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    match line {
        "" => Ok(None),
        FINE => Ok(Some(Vec::new())),
        line => line.split(AND).map(fault).collect::<Result<_, _>>().map(Some),
    }
}

fn fault(text: &str) -> Result<Fault, String> {
    match Fault::read(text) {
        Ok(Fault::WrongCurrency(number)) if Currency::from_numeric(number).is_none() => {
            Err(format!("there is no currency with the number {number}"))
        }
        Ok(fault) => Ok(fault),
        Err(error @ FaultError::Word(_)) => {
            let word = text.split_whitespace().next().unwrap_or_default();
            Err(format!("{error}; the nearest is {}", nearest(word)))
        }
        Err(error @ (FaultError::Number(..) | FaultError::Surplus(_))) => Err(error.to_string()),
    }
}

/// All that a line can say, with a line on each.
pub fn help() -> String {
    let mut text = "Lines of --script and of standard input:\n".to_owned();
    let own = [
        (FINE, "", "nothing goes wrong; in a script, a transaction without a fault"),
        ("help", "", "prints this list; on standard input alone"),
    ];
    for (word, needs, meaning) in FAULT_HELP.iter().chain(&own) {
        text.push_str(&format!("  {:<22} {meaning}\n", format!("{word} {needs}")));
    }
    text.push_str(
        "\nA script has a line for each payment, reversal and refund, in their order; it holds from the\n\
         first byte of that command. A line on standard input holds from then on.\n\
         Several faults that shall meet stand in one line with ` + ` between them. After # comes a comment.\n\
         \nExamples:\n  fieldkit simulate terminal --tcp 127.0.0.1:20007 --journal terminal.ndjson\n  \
         fieldkit simulate terminal --protocol telium --pty /tmp/terminal --journal terminal.ndjson\n  \
         fieldkit simulate terminal --tcp 127.0.0.1:0 --journal terminal.ndjson --script faults.txt\n",
    );
    text
}

/// The fault whose word takes the fewest changes to come from this one; words that begin alike are nearer.
fn nearest(word: &str) -> &'static str {
    let alike = |known: &str| word.chars().zip(known.chars()).take_while(|(one, other)| one == other).count();
    let words = FAULT_HELP.iter().map(|(known, _, _)| *known);
    words.min_by_key(|known| distance(word, known) + word.len() - alike(known)).unwrap_or_default()
}

/// How many letters must be added, dropped or changed to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, wanted) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_a_line_for_each_transaction() {
        let mut script =
            Script::read("# first\ndecline 51\n\nok\nlate 300 + wrong-amount 951 # both\n").expect("a script");
        assert_eq!(script.next(), vec![Fault::Decline(0x51)]);
        assert_eq!(script.next(), vec![]);
        assert_eq!(script.next(), vec![Fault::Late(300), Fault::WrongAmount(951)]);
        assert_eq!(script.next(), vec![]);
    }

    #[test]
    fn a_line_that_is_not_understood_says_why() {
        let check = |line: &str, expected: &str| assert_eq!(read(line), Err(expected.to_owned()), "{line}");
        check("declin", "there is no fault \"declin\"; the nearest is decline");
        check("cut-of 3", "there is no fault \"cut-of\"; the nearest is cut-after");
        check("late", "late needs MS");
        check("mute 3", "nothing follows mute");
        check("decline 05 + fluod 3", "there is no fault \"fluod\"; the nearest is flood");
        check("wrong-currency 1", "there is no currency with the number 1");
        let refused = Script::read("ok\n\nbogus\n").expect_err("no such fault");
        assert!(refused.starts_with("line 3: there is no fault \"bogus\""), "{refused}");
    }

    #[test]
    fn every_fault_stands_in_the_help() {
        let help = help();
        for (word, needs, meaning) in FAULT_HELP {
            let line = help.lines().find(|line| line.trim().starts_with(&format!("{word} {needs}")));
            assert!(line.is_some_and(|line| line.ends_with(meaning)), "{word}");
        }
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!([distance("", "abc"), distance("abc", "abc"), distance("kitten", "sitting")], [3, 0, 3]);
    }
}

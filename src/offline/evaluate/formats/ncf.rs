//! The files of NCF: `NAME.train.rating` and `NAME.test.rating` with member, item, rating and time, and
//! `NAME.test.negative` with `(member,item)` and the items that it is ranked among, all parted by tabs (`Dataset.py`
//! of neural_collaborative_filtering). Line n of one test file belongs to line n of the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{InputError, Row, by_member, for_lines, number};

const WANTED: &str = "the protocol `ncf` wants a folder, or the common beginning, of NAME.train.rating, \
                      NAME.test.rating and NAME.test.negative";
const ENDS: [&str; 3] = [".train.rating", ".test.rating", ".test.negative"];

/// One item to be found among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Where it stands in both files, from 1.
    pub line: usize,
    /// The member.
    pub member: u32,
    /// The item to be found.
    pub item: u32,
    /// The items that it is ranked among, each once, ascending; never the item itself.
    pub others: Vec<u32>,
}

/// The three files that a folder, or the beginning of their names, stands for.
pub fn files(given: &Path) -> Result<[PathBuf; 3], InputError> {
    let wanted = |error| InputError::Open { path: given.display().to_string(), error, wanted: WANTED.into() };
    let mut name = given.as_os_str().to_owned();
    if given.is_dir() {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(given).map_err(wanted)? {
            let found = entry.map_err(wanted)?.file_name();
            names.extend(found.to_str().and_then(|found| found.strip_suffix(ENDS[0])).map(str::to_owned));
        }
        names.sort();
        match &names[..] {
            [one] => name = given.join(one).into_os_string(),
            [] => return Err(InputError::file(given, format!("holds no NAME{}; {WANTED}", ENDS[0]))),
            several => {
                let problem = format!("holds several: {}; give the path of one of them", several.join(", "));
                return Err(InputError::file(given, problem));
            }
        }
    } else if let Some(start) = given.to_str().and_then(|text| text.strip_suffix(ENDS[0])) {
        name = start.into();
    }
    Ok(ENDS.map(|end| {
        let mut path = name.clone();
        path.push(end);
        path.into()
    }))
}

/// The members of a training file, ascending. Ratings above zero are pairs, as in the published code.
pub fn read_train(path: &Path) -> Result<Vec<Row>, InputError> {
    let mut pairs = Vec::new();
    for_lines(path, WANTED, |line, text| {
        let mut fields = text.split('\t');
        let (member, item) = (number(next(&mut fields, text)?)?, number(next(&mut fields, text)?)?);
        let rating = next(&mut fields, text)?;
        let value: f64 = rating.parse().map_err(|_| format!("the rating `{rating}` is not a number"))?;
        if value > 0.0 {
            pairs.push((line, member, item));
        }
        Ok(())
    })?;
    if pairs.is_empty() {
        return Err(InputError::file(path, "has no rating above zero; each line is member, item and rating"));
    }
    Ok(by_member(pairs))
}

/// What is to be found, in the order of the two test files.
pub fn read_trials(test: &Path, negative: &Path) -> Result<Vec<Trial>, InputError> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut lines: HashMap<u32, usize> = HashMap::new();
    for_lines(test, WANTED, |line, text| {
        let mut fields = text.split('\t');
        let (member, item) = (number(next(&mut fields, text)?)?, number(next(&mut fields, text)?)?);
        if let Some(before) = lines.insert(member, line) {
            return Err(format!(
                "member {member} has a line already, line {before}; one item is left out of each"
            ));
        }
        trials.push(Trial { line, member, item, others: Vec::new() });
        Ok(())
    })?;
    if trials.is_empty() {
        return Err(InputError::file(test, "has no line; each is a member and the item that was left out"));
    }
    let mut done = 0;
    for_lines(negative, WANTED, |_, text| {
        let named = test.display();
        let trial = trials.get_mut(done).ok_or_else(|| format!("{named} has no line for this one"))?;
        done += 1;
        let mut fields = text.split('\t');
        let pair = next(&mut fields, text)?;
        if pair != format!("({},{})", trial.member, trial.item) {
            let Trial { line, member, item, .. } = trial;
            return Err(format!("it is about {pair}, and line {line} of {named} about ({member},{item})"));
        }
        trial.others = fields.map(number).collect::<Result<_, _>>()?;
        trial.others.sort_unstable();
        trial.others.dedup();
        trial.others.retain(|other| *other != trial.item);
        if trial.others.is_empty() {
            return Err("it names no item to rank the left-out one among".into());
        }
        Ok(())
    })?;
    if let Some(trial) = trials.get(done) {
        let problem = format!("ends before line {} of {}", trial.line, test.display());
        return Err(InputError::file(negative, problem));
    }
    Ok(trials)
}

fn next<'a>(fields: &mut impl Iterator<Item = &'a str>, text: &str) -> Result<&'a str, String> {
    fields.next().ok_or_else(|| format!("`{text}` has too few fields, which are parted by tabs"))
}

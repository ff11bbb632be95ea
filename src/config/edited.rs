//! A config with other numbers in it: the text of a person's own file, with its order and comments, and some keys set.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value, value};

use super::meant::{Train, Transform};

/// What is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit<'a> {
    /// The keys of `[train]`; numbers are written as single precision has them. The seed stays as it is in the file.
    pub train: &'a Train,
    /// The weights of kinds, by name.
    pub weights: Vec<(&'a str, f64)>,
}

/// The text of a config with these keys set, and all else as it was. The error says why the text is no TOML.
pub fn edited(text: &str, edit: &Edit<'_>) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let Train { rank, iterations, alpha0, lambda, nu, transform, .. } = *edit.train;
    let decimal =
        |number: f32| -> f64 { number.to_string().parse().expect("a number that was written can be read") };
    let train = table_in(document.as_table_mut(), "train", false)?;
    set(train, "rank", (rank as i64).into());
    set(train, "iterations", (iterations as i64).into());
    set(train, "alpha0", decimal(alpha0).into());
    set(train, "lambda", decimal(lambda).into());
    set(train, "nu", decimal(nu).into());
    set(train, "transform", written(transform));
    for (kind, weight) in &edit.weights {
        let kinds = table_in(document.as_table_mut(), "kinds", true)?;
        set(table_in(kinds, kind, false)?, "weight", (*weight).into());
    }
    Ok(document.to_string())
}

/// The table of a key, made where there is none; `implicit` where its head need not be written.
fn table_in<'a>(
    parent: &'a mut dyn TableLike,
    key: &str,
    implicit: bool,
) -> Result<&'a mut dyn TableLike, String> {
    let mut new = Table::new();
    new.set_implicit(implicit);
    let item = parent.entry(key).or_insert(Item::Table(new));
    item.as_table_like_mut().ok_or_else(|| format!("`{key}` is no table"))
}

/// Sets a key; comments beside an old value stay.
fn set(table: &mut dyn TableLike, key: &str, mut new: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        None => drop(table.insert(key, value(new))),
    }
}

fn written(transform: Transform) -> Value {
    match transform {
        Transform::Linear => "linear".into(),
        Transform::Log1p => "log1p".into(),
        Transform::Cap(micros) => {
            let mut cap = toml_edit::InlineTable::new();
            cap.insert("cap", (micros as f64 / nearline_dataflows::kinds::MICROS as f64).into());
            Value::InlineTable(cap)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, default_toml};

    fn edit(text: &str) -> String {
        let train = Train {
            rank: 24,
            iterations: 7,
            alpha0: 0.0123,
            lambda: 4.5e-7,
            nu: 0.75,
            seed: 1,
            transform: Transform::Cap(2_500_000),
        };
        edited(text, &Edit { train: &train, weights: vec![("like", 3.5), ("zz of mine", -0.25)] }).unwrap()
    }

    #[test]
    fn what_is_set_is_what_is_read_and_all_else_stays() {
        let texts = [
            "",
            default_toml(),
            "rating_scale = 10\n\n# Mine.\n[train] # so it is\nlambda = 3 # much\nseed = 9\n\n[run]\nworkers = 2\n",
            "train = { lambda = 3.0, seed = 4 }\nkinds.like.weight = 3\nkinds.like.seen = \"yes\"\n",
            "[kinds]\nlike = { weight = 1.0, seen = \"yes\" }\n[maps.mine]\nmember = \"u\"",
        ];
        for text in texts {
            let edited = edit(text);
            let (before, after) =
                (Config::parse(text, "before").unwrap(), Config::parse(&edited, "after").unwrap());
            let Train { rank, iterations, alpha0, lambda, nu, seed, transform } = after.train;
            assert_eq!((rank, iterations, alpha0, lambda, nu), (24, 7, 0.0123, 4.5e-7, 0.75), "{edited}");
            assert_eq!((seed, transform), (before.train.seed, Transform::Cap(2_500_000)));
            let rule =
                |config: &Config, kind| config.kinds.number(kind).map(|kind| *config.kinds.kinds.rule(kind));
            assert_eq!(rule(&after, "like").unwrap().weight, 3_500_000);
            assert_eq!(rule(&after, "like").unwrap().seen, rule(&before, "like").unwrap().seen);
            assert_eq!(rule(&after, "zz of mine").unwrap().weight, -250_000);
            assert_eq!(rule(&after, "play"), rule(&before, "play"));
            assert_eq!((after.lists, after.run, after.maps), (before.lists, before.run, before.maps));
            assert_eq!(edit(&edited), edited, "a second time changes nothing");
        }
    }

    #[test]
    fn comments_and_order_stay() {
        let text = "# Mine.\n[train] # so it is\nlambda = 3 # much\nseed = 9\n";
        let edited = edit(text);
        assert!(
            edited.starts_with("# Mine.\n[train] # so it is\nlambda = 0.00000045 # much\nseed = 9\n"),
            "{edited}"
        );
    }
}

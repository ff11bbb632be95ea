//! `variants`: how they do side by side, as a table.

use super::args::{VariantsArgs, VariantsCommand};
use super::{Context, Failure, show, takeover};
use crate::serving::variants::{Interval, Rate, VariantAnswer, VariantsAnswer, VariantsQuery};

/// `nearline variants`.
pub fn variants(context: &Context, args: VariantsArgs) -> Result<(), Failure> {
    if let Some(VariantsCommand::Promote { variant }) = args.command {
        return takeover::promote(context, &variant);
    }
    let VariantsArgs { days, list, against, .. } = args;
    let query = VariantsQuery { days, list, against };
    let answer = context.read(|serving| serving.variants(&query))?;
    if let (Some(name), None, Some(_)) = (&query.against, &answer.against, &answer.experiment) {
        return Err(Failure::Use(format!("there is no variant {name} to compare with")));
    }
    if context.json {
        return show::json(&answer);
    }
    if answer.experiment.is_none() {
        return Err(Failure::No(
            "the lists of this folder are made without variants: docs/variants.md says how to begin an experiment".into(),
        ));
    }
    show::text(&text(&answer))
}

fn text(answer: &VariantsAnswer) -> String {
    let mut text = match answer.experiment.as_deref().unwrap_or_default() {
        "" => "variants, ".to_owned(),
        name => format!("experiment {name}, "),
    };
    text += &match &answer.list {
        Some(list) => format!("events in {list} of "),
        None => "events in lists of ".to_owned(),
    };
    text += &match answer.days {
        1 => "the last UTC day".to_owned(),
        days => format!("the last {} UTC days", show::count(days.into())),
    };
    if let Some(as_of) = answer.as_of {
        text += &format!(" up to {}", show::time(as_of));
    }
    text += &format!(", epoch {}\n", answer.epoch);
    if let Some(promoted) = &answer.promoted {
        text += &format!("{promoted} was promoted: it is every member's\n");
    }
    if answer.views_pending {
        text += "a bulk load or a rebuild is under way: these counts lag behind the records\n";
    }
    let header = [
        "variant",
        "share",
        "members",
        "algorithm",
        "model",
        "impressions",
        "clicks",
        "click rate",
        "plays",
        "play rate",
    ];
    text += &show::table(&header, &[1, 2, 5, 6, 8], answer.variants.iter().map(row));
    let Some(against) = &answer.against else { return text };
    for variant in &answer.variants {
        let above = [("clicks", variant.click_rate), ("plays", variant.play_rate)];
        let said =
            above.iter().filter_map(|(what, rate)| Some(format!("{what} {}", points(rate.as_ref()?.above?))));
        let said: Vec<String> = said.collect();
        if !said.is_empty() {
            text += &format!("{} against {against}: {}\n", variant.variant, said.join("; "));
        }
    }
    text + "rates are of an impression, with 95 % intervals: Wilson's, and Newcombe's of differences\n"
}

fn row(variant: &VariantAnswer) -> Vec<String> {
    let model = variant.model.as_deref().map_or("–", |model| model.get(..12).unwrap_or(model));
    vec![
        variant.variant.clone(),
        format!("{:.1} %", 100.0 * variant.share),
        show::count(variant.members),
        variant.algorithm.as_str().to_owned(),
        model.to_owned(),
        show::count(variant.impressions),
        show::count(variant.clicks),
        percent(variant.click_rate),
        show::count(variant.plays),
        percent(variant.play_rate),
    ]
}

fn percent(rate: Option<Rate>) -> String {
    let Some(Rate { of: Interval { value, low, high }, .. }) = rate else { return "–".into() };
    format!("{:.2} % ({:.2} to {:.2})", 100.0 * value, 100.0 * low, 100.0 * high)
}

/// A difference of two percentages; what does not hold zero is more than chance would make of it.
fn points(Interval { value, low, high }: Interval) -> String {
    let sure = if low > 0.0 || high < 0.0 { "" } else { ", may be chance" };
    format!("{:+.2} points ({:+.2} to {:+.2}{sure})", 100.0 * value, 100.0 * low, 100.0 * high)
}

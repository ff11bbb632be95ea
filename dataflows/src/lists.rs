//! `factors` and `top_picks`: every member of a batch folded in, scored against all items and given its best; and found
//! among the centres of clusters, where there are some for the batch's model.
//!
//! A function of the batch: signals of each member, the model, the available items. No member's numbers depend on
//! another's, so how members are batched does not matter.

use nearline_factors::Scored;

use crate::members::{Role, Touched};
use crate::model::Model;
use crate::signals::{Signals, signals};
use crate::types::{Item, Member};

/// What was made for one member of a batch; without a positive signal there is neither factor nor list.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberLists {
    /// Whose.
    pub member: Member,
    /// The member's factor, of the model's rank.
    pub factor: Option<Box<[f32]>>,
    /// The cluster whose centre is nearest to it, where there are centres for its model.
    pub cluster: Option<u32>,
    /// The best items with their scores, best first.
    pub top_picks: Vec<(Item, f32)>,
}

/// What was made for a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Under which line-up.
    pub role: Role,
    /// One for each member.
    pub lists: Vec<MemberLists>,
}

/// Solves and scores a batch. Without a model nobody has a factor, nor where the batch's lists are made when they are read.
pub fn lists(touched: &Touched, length: usize) -> Vec<MemberLists> {
    let none = |member| MemberLists { member, factor: None, cluster: None, top_picks: Vec::new() };
    let Some(model) = touched.model.as_ref().filter(|_| touched.kept) else {
        return touched.members.iter().map(|(member, _)| none(*member)).collect();
    };
    let mut made = Vec::with_capacity(touched.members.len());
    let mut known: Vec<(Member, Signals)> = Vec::with_capacity(touched.members.len());
    for (member, states) in &touched.members {
        let signals = signals(states, model);
        if signals.positive {
            known.push((*member, signals));
        } else {
            made.push(none(*member));
        }
    }
    made.extend(solve_and_score(model, &known, touched, length));
    made
}

fn solve_and_score(
    model: &Model,
    known: &[(Member, Signals)],
    touched: &Touched,
    length: usize,
) -> impl Iterator<Item = MemberLists> {
    let mut offsets = vec![0];
    let mut pairs = Vec::new();
    for (_, signals) in known {
        pairs.extend_from_slice(&signals.pairs);
        offsets.push(pairs.len());
    }
    let mut factors = Vec::new();
    model.side.fold_in_batch(&offsets, &pairs, &mut factors);
    let excluded: Vec<&[u32]> = known.iter().map(|(_, signals)| signals.excluded.as_slice()).collect();
    let mut selected: Vec<Vec<Scored>> = Vec::new();
    model.side.select(&factors, &excluded, &touched.available, length, &mut selected);

    let rank = model.side.items().rank();
    let clusters = match &touched.centres {
        Some(centres) => centres.nearest(&factors).into_iter().map(Some).collect(),
        None => vec![None; known.len()],
    };
    type Parts<'a> = (((Member, &'a [f32]), Vec<Scored>), Option<u32>);
    let one = |(((member, factor), best), cluster): Parts<'_>| MemberLists {
        member,
        factor: Some(factor.into()),
        cluster,
        top_picks: best.iter().map(|entry| (model.items()[entry.item as usize], entry.score)).collect(),
    };
    let members = known.iter().map(|(member, _)| *member);
    members
        .zip(factors.chunks_exact(rank))
        .zip(selected)
        .zip(clusters)
        .map(one)
        .collect::<Vec<_>>()
        .into_iter()
}

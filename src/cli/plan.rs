//! `nearline plan`: how much memory and disk a folder will take.

use super::args::PlanArgs;
use super::{Context, Failure, show};
use crate::planning::{Part, Size};

/// `nearline plan`.
pub fn plan(context: &Context, args: &PlanArgs) -> Result<(), Failure> {
    let store = &context.config.store;
    let basket = context.config.lists.basket as u64;
    // Of each member as many as there are in a basket, and no more than there are items.
    let of = |items: u64| items * items.saturating_sub(1) / 2;
    let most = of(args.items).min(args.members * of(basket));
    let size = Size {
        members: args.members,
        items: args.items,
        events: args.events,
        wide: args.with_own.min(args.events),
        rank: args.rank,
        length: args.length.unwrap_or(context.config.lists.length as u64).min(args.items),
        cells: args.cells.unwrap_or(args.events),
        basket,
        pairs: args.pairs.unwrap_or(args.events.min(most)),
        retracted: args.retracted,
        id_bytes: args.id_bytes,
        context_bytes: args.context_bytes,
        store: (store.block_cache + store.write_buffer) as u64,
    };
    let plan = size.plan();
    if context.json {
        return show::json(&plan);
    }
    let megabytes = |bytes: u64| show::count(bytes.div_ceil(1_000_000));
    let mut text = String::new();
    for (name, all, parts) in
        [("memory", plan.memory, &plan.memory_parts), ("disk", plan.disk, &plan.disk_parts)]
    {
        text += &format!("{name}: {} MB\n", megabytes(all));
        for Part { what, bytes } in parts.iter().filter(|part| part.bytes > 0) {
            text += &format!("  {:>9}  {what}\n", megabytes(*bytes));
        }
    }
    text += "Memory is at its highest while a log is loaded, on two workers. On disk, what is rewritten live takes its room\n\
             twice until the store has compacted it.";
    show::text(&text)
}

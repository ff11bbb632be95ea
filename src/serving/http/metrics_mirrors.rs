//! What is counted of mirrors.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::mirrors::Mirrors;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMirror {
    mirror: String,
}

/// All of it, looked up when it is asked for.
#[derive(Default)]
pub(super) struct MirrorMetrics {
    epoch: Family<OfMirror, Gauge>,
    behind: Family<OfMirror, Gauge<f64, AtomicU64>>,
    filling: Family<OfMirror, Gauge>,
    written: Family<OfMirror, Gauge>,
    failures: Family<OfMirror, Gauge>,
    /// The mirrors, where there are some.
    pub of: OnceLock<Arc<Mirrors>>,
}

impl MirrorMetrics {
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, metric) in [
            ("mirror_epoch", "The epoch up to which the server has acknowledged everything", &self.epoch),
            ("mirror_filling", "Whether the mirror is being filled anew", &self.filling),
            ("mirror_entries_written", "Changed entries written since the start", &self.written),
            ("mirror_failures", "How often the server could not be used since the start", &self.failures),
        ] {
            registry.register(name, help, metric.clone());
        }
        let help = "How long ago the store was read of which the server has everything";
        registry.register_with_unit("mirror_behind", help, Unit::Seconds, self.behind.clone());
    }

    pub fn look(&self) {
        let Some(mirrors) = self.of.get() else { return };
        for mirror in mirrors.all() {
            let of = OfMirror { mirror: mirror.name().to_owned() };
            let state = mirror.state();
            self.epoch.get_or_create(&of).set(state.acked as i64);
            self.filling.get_or_create(&of).set(i64::from(state.filling.is_some()));
            self.written.get_or_create(&of).set(mirror.written() as i64);
            self.failures.get_or_create(&of).set(mirror.failures() as i64);
            self.behind.get_or_create(&of).set(mirror.behind().as_secs_f64());
        }
    }
}

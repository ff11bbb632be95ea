//! What is counted of publications that are followed.

use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::publications::alerts::RaisedNow;
use crate::publications::board::Board;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPublication {
    publication: String,
}

/// The alert, and the publication or job that it is about.
type OfAlert = Vec<(&'static str, String)>;

/// All of it, looked up when it is asked for.
#[derive(Default)]
pub(super) struct PublicationMetrics {
    published_at: Family<OfPublication, Gauge>,
    used_published_at: Family<OfPublication, Gauge>,
    used_since: Family<OfPublication, Gauge>,
    bytes: Family<OfPublication, Gauge>,
    failures: Family<OfPublication, Gauge>,
    failed: Family<OfPublication, Gauge>,
    raised: Family<OfAlert, Gauge>,
    /// What is followed, where something is.
    pub followed: OnceLock<(std::sync::Arc<Board>, RaisedNow)>,
}

impl PublicationMetrics {
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, metric) in [
            (
                "publication_published_at",
                "When the newest version was published, since 1970; 0 where there is none",
                &self.published_at,
            ),
            (
                "publication_in_use_published_at",
                "When the version that is in use was published, since 1970; 0 where none is",
                &self.used_published_at,
            ),
            (
                "publication_in_use_since",
                "When it was taken over, since 1970; 0 where none is in use",
                &self.used_since,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        }
        let bytes = self.bytes.clone();
        registry.register_with_unit("publication", "The size of the newest version", Unit::Bytes, bytes);
        registry.register(
            "publication_failures",
            "How often looking for it or taking it over failed",
            self.failures.clone(),
        );
        registry.register(
            "publication_failed",
            "1 where the last attempt to publish it or to take it over failed",
            self.failed.clone(),
        );
        registry.register("alert_raised", "1 for each alert that is raised", self.raised.clone());
    }

    pub fn look(&self) {
        let Some((board, raised)) = self.followed.get() else { return };
        for one in board.all() {
            let of = OfPublication { publication: one.publication.clone() };
            let set = |metric: &Family<OfPublication, Gauge>, value: i64| {
                metric.get_or_create(&of).set(value);
            };
            let (newest, used) = (one.newest.as_ref(), one.in_use.as_ref());
            set(&self.published_at, newest.map_or(0, |newest| newest.published_at / 1000));
            set(&self.used_published_at, used.map_or(0, |used| used.published_at / 1000));
            set(&self.used_since, used.map_or(0, |used| used.since / 1000));
            set(&self.bytes, newest.map_or(0, |newest| newest.size as i64));
            set(&self.failures, one.failures as i64);
            set(&self.failed, (one.failure.is_some() || one.publish_failure.is_some()).into());
        }
        self.raised.clear();
        for one in raised.all() {
            let about = if one.job.is_some() { "job" } else { "publication" };
            let of: OfAlert = vec![("alert", one.alert.clone()), (about, one.about().to_owned())];
            self.raised.get_or_create(&of).set(1);
        }
    }
}

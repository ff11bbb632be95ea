//! Traces: what a request or a commit did, and how long each part of it took, sent to a collector by OTLP over HTTP in
//! JSON, the protocol of OpenTelemetry. Off unless the config names a collector; then a share of requests and commits is
//! traced, and every request whose caller traces it (`traceparent`, W3C Trace Context).
//!
//! A span names routes, rungs and epochs, and never a member.

mod exporter;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use self::exporter::Exporter;
use crate::config;
use crate::engine::observer::Commit;

/// How long the last spans are waited for when the process ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends traces, until it is dropped.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

impl fmt::Debug for Traces {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("traces")
    }
}

impl Traces {
    /// Begins to send what a config says; nothing where it names no collector.
    pub fn start(config: &config::Traces) -> Option<Arc<Self>> {
        let exporter = Exporter::new(config.endpoint.clone()?);
        let resource = Resource::builder()
            .with_service_name("nearline")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.share))))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("nearline");
        Some(Arc::new(Traces { provider, tracer, propagator: TraceContextPropagator::new() }))
    }

    /// The span of a request, to be the context of all that is done for it.
    pub fn request(self: &Arc<Self>, method: &str, route: &str, headers: &HeaderMap) -> Context {
        let from = self.propagator.extract_with_context(&Context::new(), &Headers(headers));
        let builder = self
            .tracer
            .span_builder(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("http.route", route.to_owned()),
            ]);
        let span = self.tracer.build_with_context(builder, &from);
        from.with_span(span).with_value(Of(self.clone()))
    }

    /// Ends the span of a request.
    pub fn answered(&self, context: &Context, status: u16) {
        let span = context.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// A commit, from its first record to where readers see it.
    pub fn committed(&self, commit: &Commit) {
        let Some(opened) = commit.opened else { return };
        let (now, at) = (Instant::now(), SystemTime::now());
        let when = |instant: Instant| at - now.saturating_duration_since(instant);
        let builder = self.tracer.span_builder("commit").with_start_time(when(opened)).with_attributes([
            KeyValue::new("nearline.epoch", commit.epoch as i64),
            KeyValue::new("nearline.records", commit.records as i64),
            KeyValue::new("nearline.lists", commit.lists as i64),
        ]);
        let context = Context::new().with_span(self.tracer.build_with_context(builder, &Context::new()));
        let part = |name: &'static str, from: SystemTime, to: SystemTime| {
            let builder = self.tracer.span_builder(name).with_start_time(from);
            self.tracer.build_with_context(builder, &context).end_with_timestamp(to);
        };
        if let Some(worked_out) = commit.worked_out {
            part("graph", when(opened), when(worked_out));
        }
        part("store", at - commit.stored_in, at);
        context.span().end_with_timestamp(at);
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FAREWELL) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Whose a request's context is.
struct Of(Arc<Traces>);

/// A part of the request that this thread is at, which ends now: nothing where it is not traced.
pub fn part(name: &'static str, began: Instant, outcome: &str) {
    Context::map_current(|context| {
        let Some(Of(traces)) = context.get::<Of>().filter(|_| context.span().is_recording()) else { return };
        let builder = traces
            .tracer
            .span_builder(name)
            .with_start_time(SystemTime::now() - began.elapsed())
            .with_attributes([KeyValue::new("nearline.outcome", outcome.to_owned())]);
        traces.tracer.build_with_context(builder, context).end();
    });
}

/// The headers of a request, for what they say of its caller's trace.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|key| key.as_str()).collect()
    }
}

//! Spans as OTLP's JSON (`ExportTraceServiceRequest`), posted to a collector.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>: ids are hexadecimal, 64-bit integers are strings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde_json::{Value as Json, json};

/// How long a collector may take to take spans in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends spans, from the one thread that gathers them.
#[derive(Debug)]
pub(super) struct Exporter {
    endpoint: String,
    agent: ureq::Agent,
    resource: Json,
}

impl Exporter {
    /// To a collector's address for traces.
    pub(super) fn new(endpoint: String) -> Self {
        let agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build();
        Exporter { endpoint, agent: ureq::Agent::new_with_config(agent), resource: json!({}) }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let body = request(&self.resource, &batch).to_string();
        let posted = self.agent.post(&self.endpoint).content_type("application/json").send(body);
        posted.map(drop).map_err(|error| {
            tracing::warn!(%error, spans = batch.len(), "the collector of traces did not take them");
            OTelSdkError::InternalFailure(error.to_string())
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        let of = |(key, value): (&Key, &Value)| attribute(&KeyValue::new(key.clone(), value.clone()));
        self.resource = json!({ "attributes": resource.iter().map(of).collect::<Vec<_>>() });
    }
}

fn request(resource: &Json, spans: &[SpanData]) -> Json {
    let scope = json!({ "name": "nearline" });
    let spans: Vec<Json> = spans.iter().map(span).collect();
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "scope": scope, "spans": spans }] }] })
}

fn span(span: &SpanData) -> Json {
    let mut told = json!({
        "traceId": span.span_context.trace_id().to_string(),
        "spanId": span.span_context.span_id().to_string(),
        "name": span.name,
        "kind": kind(&span.span_kind),
        "startTimeUnixNano": nanos(span.start_time),
        "endTimeUnixNano": nanos(span.end_time),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "status": match &span.status {
            Status::Unset => json!({}),
            Status::Ok => json!({ "code": 1 }),
            Status::Error { description } => json!({ "code": 2, "message": description }),
        },
    });
    if span.parent_span_id != SpanId::INVALID {
        told["parentSpanId"] = span.parent_span_id.to_string().into();
    }
    told
}

/// `SpanKind` of trace.proto.
fn kind(kind: &SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

fn attribute(attribute: &KeyValue) -> Json {
    let value = match &attribute.value {
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::I64(value) => json!({ "intValue": value.to_string() }),
        Value::F64(value) => json!({ "doubleValue": value }),
        other => json!({ "stringValue": other.as_str() }),
    };
    json!({ "key": attribute.key.as_str(), "value": value })
}

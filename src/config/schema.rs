//! The JSON Schema of the config, for editors: `schemas/config.schema.json`.

use super::written::Written;

/// The JSON Schema of `nearline.toml`, generated from the types it is read into.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Written)).expect("a schema is JSON")
}

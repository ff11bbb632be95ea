//! Messages to webhooks, signed as Standard Webhooks has it (<https://www.standardwebhooks.com>), so that whoever receives
//! them finds a library that checks them.
//!
//! The headers are `webhook-id`, the same however often a message is sent; `webhook-timestamp`, seconds since 1970; and
//! `webhook-signature`, `v1,` and the HMAC-SHA256, in base64, of `ID.TIMESTAMP.BODY`. A receiver turns away what is
//! older than some minutes and what it has had by its id: so nobody can send a message again that was overheard.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use super::now_ms;
use crate::config::publications::Webhook;

/// How long a webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a secret begins with that is written in base64.
const ENCODED: &str = "whsec_";

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// What was said.
    pub why: String,
    /// Whether it may arrive when it is sent again.
    pub passing: bool,
}

/// Sends messages.
#[derive(Debug)]
pub struct Sender {
    agent: ureq::Agent,
}

impl Default for Sender {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .user_agent(concat!("nearline/", env!("CARGO_PKG_VERSION")))
            .build();
        Sender { agent: ureq::Agent::new_with_config(config) }
    }
}

impl Sender {
    /// Sends a message once.
    pub fn send(&self, webhook: &Webhook, id: &str, body: &str) -> Result<(), Undelivered> {
        let secret = webhook.secret();
        let secret = secret.map_err(|error| Undelivered { why: error.to_string(), passing: false })?;
        let seconds = now_ms() / 1000;
        let mut request = self
            .agent
            .post(&webhook.url)
            .content_type("application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds.to_string());
        if let Some(secret) = secret {
            let signature = signature(&secret, id, seconds, body);
            let signature =
                signature.map_err(|why| Undelivered { why: format!("`secret`: {why}"), passing: false })?;
            request = request.header("webhook-signature", signature);
        }
        let answer = request.send(body);
        let answer = answer.map_err(|error| Undelivered { why: error.to_string(), passing: true })?;
        let status = answer.status();
        match status.as_u16() {
            200..=299 => Ok(()),
            // Gone: whoever it was wants no more of them.
            410 => Err(Undelivered { why: format!("it answered {status}"), passing: false }),
            _ => Err(Undelivered { why: format!("it answered {status}"), passing: true }),
        }
    }
}

/// The value of `webhook-signature`.
fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> Result<String, String> {
    let key = match secret.strip_prefix(ENCODED) {
        Some(encoded) => BASE64_STANDARD
            .decode(encoded)
            .map_err(|error| format!("what follows {ENCODED} is not base64: {error}"))?,
        None => secret.as_bytes().to_vec(),
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed =
            signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let [one, other] =
            ["a secret of ours", "a secret of mine"].map(|secret| signature(secret, "a", 1, "{}"));
        assert_ne!(one.unwrap(), other.unwrap());
        assert!(signature("whsec_!", "a", 1, "{}").unwrap_err().contains("base64"));
    }
}

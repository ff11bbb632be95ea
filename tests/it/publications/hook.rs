//! A webhook: keeps what it is sent, and answers what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use serde_json::Value;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: String,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether it was signed with this secret, as a receiver checks it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        let Some(signature) = self.signature.strip_prefix("v1,") else { return false };
        let signature = BASE64_STANDARD.decode(signature).unwrap();
        hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
    }
}

/// A webhook that listens.
pub struct Hook {
    pub url: String,
    messages: Arc<Mutex<Vec<Message>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Hook {
    /// One that answers these statuses to its first messages, and 200 to all after.
    pub fn answering(answers: &[u16]) -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let messages: Arc<Mutex<Vec<Message>>> = Arc::default();
        let answers = Arc::new(Mutex::new(answers.to_vec()));
        let (kept, given) = (messages.clone(), answers.clone());
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(&stream, &kept, &given);
            }
        });
        Hook { url, messages, answers }
    }

    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    /// What it answers to the next messages.
    pub fn answer_next(&self, answers: &[u16]) {
        *self.answers.lock().unwrap() = answers.to_vec();
    }
}

fn answer(stream: &TcpStream, kept: &Mutex<Vec<Message>>, given: &Mutex<Vec<u16>>) -> std::io::Result<()> {
    let mut read = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    let [mut id, mut timestamp, mut signature] = [const { String::new() }; 3];
    loop {
        line.clear();
        read.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        let value = value.trim().to_owned();
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.parse().unwrap(),
            "webhook-id" => id = value,
            "webhook-timestamp" => timestamp = value,
            "webhook-signature" => signature = value,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    kept.lock().unwrap().push(Message { id, timestamp, signature, body });
    let status = {
        let mut given = given.lock().unwrap();
        if given.is_empty() { 200 } else { given.remove(0) }
    };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

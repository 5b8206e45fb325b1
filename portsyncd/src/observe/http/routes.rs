//! What is answered to which request.

use std::cell::Cell;

use bytes::Bytes;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use portsyncd_common::IfName;
use serde::Serialize;

use super::events::EventStream;
use crate::config::ExportFormat;
use crate::observe::files::metrics_bytes;
use crate::observe::{Observer, exposition, page, report};

pub(super) type Body = Either<Full<Bytes>, StreamBody<EventStream>>;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request. `watching` becomes true where the answer is a stream of events.
pub(super) fn answer(
    request: &Request<Incoming>,
    observer: &Observer,
    watching: &Cell<bool>,
) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    observer.catch_up();
    match request.uri().path() {
        "/metrics" if wants_json(observer.export_format, request) => live_metrics(observer),
        "/metrics" => full(
            StatusCode::OK,
            exposition::CONTENT_TYPE,
            exposition::render(&mut observer.picture()),
        ),
        "/metrics.json" => live_metrics(observer),
        "/healthz" => plain(StatusCode::OK, "alive\n"),
        "/readyz" => match observer.picture().ready() {
            Ok(()) => plain(StatusCode::OK, "ready\n"),
            Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
        },
        "/status" => json(&report::status(&mut observer.picture())),
        "/ports" => json(&report::ports(&observer.picture())),
        "/events" if request.method() == Method::HEAD => full(StatusCode::OK, EVENTS, Bytes::new()),
        "/events" => events(observer, watching),
        "/" => {
            let html = page::render(&mut observer.picture());
            full(StatusCode::OK, "text/html; charset=utf-8", html)
        }
        path => match path.strip_prefix("/ports/") {
            Some(name) => port(observer, name),
            None => plain(
                StatusCode::NOT_FOUND,
                "not here; there are / /metrics /metrics.json /healthz /readyz /status /ports \
                 /ports/NAME /events\n",
            ),
        },
    }
}

const EVENTS: &str = "text/event-stream";

fn events(observer: &Observer, watching: &Cell<bool>) -> Response<Body> {
    let Some(stream) = observer.viewers.join() else {
        let mut response = plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many viewers, or the daemon is ending\n",
        );
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("10"));
        return response;
    };
    watching.set(true);
    response(
        StatusCode::OK,
        EVENTS,
        Either::Right(StreamBody::new(stream)),
    )
}

fn port(observer: &Observer, path: &str) -> Response<Body> {
    let name = decode(path).and_then(|name| IfName::new(&name).ok());
    match name.and_then(|name| report::port(&observer.picture(), &name)) {
        Some(detail) => json(&detail),
        None => plain(
            StatusCode::NOT_FOUND,
            "no such port: it has no row of STATE_DB's and is not configured; /ports lists those that do\n",
        ),
    }
}

/// The bytes of a path's segment; `%41` is `A`.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

/// `metrics.export_format`.
fn wants_json(format: ExportFormat, request: &Request<Incoming>) -> bool {
    let accept = request.headers().get(ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    match format {
        ExportFormat::Prometheus => false,
        ExportFormat::Json => true,
        ExportFormat::Both => accept.is_some_and(|accept| accept.contains(JSON)),
    }
}

fn live_metrics(observer: &Observer) -> Response<Body> {
    let picture = &mut observer.picture();
    // What is served is not what is saved.
    let dirty = picture.ledger_dirty;
    let document = metrics_bytes(picture);
    picture.ledger_dirty = dirty;
    full(StatusCode::OK, JSON, document)
}

fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            full(StatusCode::OK, JSON, bytes)
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    full(status, TEXT, text.to_owned())
}

fn full(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    response(status, kind, Either::Left(Full::new(body.into())))
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn names_in_paths_may_be_escaped() {
        assert_eq!(decode("Ethernet0").unwrap(), b"Ethernet0");
        assert_eq!(decode("a%25b%2f").unwrap(), b"a%b/");
        for bad in ["%", "%4", "%zz"] {
            assert_eq!(decode(bad), None);
        }
    }
}

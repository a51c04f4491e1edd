//! One call of a fetch: what the guest gave, checked, with the operator's secrets put in; and the next call after a redirect.
//!
//! Apart because this is where a guest's text becomes a request, and where secrets enter it. It must not open connections.

use bytes::Bytes;
use gatewright_plugins::{FetchRequest, ServiceError};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::Full;

use super::place::Place;
use crate::config::facts::{FetchFact, Secret};

/// Headers that one call may have.
const MOST_HEADERS: usize = 64;
/// What they may have in all, in bytes.
const HEADER_BYTES: usize = 16 << 10;
/// Headers that are the connection's own: a guest that set them could make of one request two.
const OURS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// How a guest writes a secret.
const SECRET: &str = "${secret:";

/// A call that may be made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) place: Place,
    method: Method,
    headers: Vec<Field>,
    body: Bytes,
}

#[derive(Clone, Debug)]
struct Field {
    name: HeaderName,
    value: HeaderValue,
    /// Meant for one server alone.
    own: bool,
}

impl Call {
    /// Reads what a guest gave.
    pub(super) fn read(request: FetchRequest, fact: &FetchFact) -> Result<Self, ServiceError> {
        let FetchRequest { method, url, headers, body } = request;
        let method = match method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            "HEAD" => Method::HEAD,
            _ => return Err(failed("the method is one of GET, POST, PUT, PATCH, DELETE, HEAD")),
        };
        let place = allowed(Place::read(&url)?, fact)?;
        if headers.len() > MOST_HEADERS
            || headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > HEADER_BYTES
        {
            return Err(ServiceError::Limit(format!("{MOST_HEADERS} headers of {HEADER_BYTES} bytes in all")));
        }
        let headers = headers.iter().map(|header| field(header, &fact.secrets)).collect::<Result<_, _>>()?;
        Ok(Self { place, method, headers, body: body.into() })
    }

    /// As it is sent.
    pub(super) fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.place.uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("gatewright/", env!("CARGO_PKG_VERSION"))));
        for Field { name, value, .. } in &self.headers {
            // The guest's own stands in place of ours.
            if *name == USER_AGENT {
                headers.insert(name, value.clone());
            } else {
                headers.append(name, value.clone());
            }
        }
        request
    }

    /// The call that an answer sends it on to; `None` where the answer is the last.
    pub(super) fn redirected(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        fact: &FetchFact,
    ) -> Result<Option<Self>, ServiceError> {
        let asks_anew = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return Ok(None),
        };
        let Some(location) = headers.get(LOCATION) else { return Ok(None) };
        let location = location.to_str().map_err(|_| failed("the answer sends on to something that is not a URL"))?;
        let place = allowed(self.place.join(location)?, fact)?;
        let mut next = Self { place, ..self.clone() };
        if asks_anew {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.retain(|field| field.name != CONTENT_TYPE);
        }
        if !next.place.same_origin(&self.place) {
            next.headers.retain(|field| !field.own);
        }
        Ok(Some(next))
    }
}

/// The place, if its host is on the operator's list.
fn allowed(place: Place, fact: &FetchFact) -> Result<Place, ServiceError> {
    if fact.hosts.iter().any(|host| place.is_at(host)) { Ok(place) } else { Err(ServiceError::Denied) }
}

fn field((name, value): &(String, String), secrets: &[(String, Secret)]) -> Result<Field, ServiceError> {
    let name = HeaderName::try_from(name.as_str()).map_err(|_| failed("a header's name has characters that it cannot have"))?;
    if OURS.contains(&name.as_str()) {
        return Err(failed(&format!("the header `{name}` is set by the gateway itself")));
    }
    let filled = fill(value, secrets)?;
    let secret = filled.is_some();
    let text = filled.as_deref().unwrap_or(value);
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| failed(&format!("the value of the header `{name}` has characters that it cannot have")))?;
    value.set_sensitive(secret);
    let own = secret || name == AUTHORIZATION || name == COOKIE;
    Ok(Field { name, value, own })
}

/// A value with the secrets that it names; `None` where it names none.
fn fill(value: &str, secrets: &[(String, Secret)]) -> Result<Option<String>, ServiceError> {
    let Some((mut before, mut rest)) = value.split_once(SECRET) else { return Ok(None) };
    let mut filled = String::new();
    loop {
        filled.push_str(before);
        let (name, after) = rest.split_once('}').ok_or_else(|| failed("`${secret:` has no `}`"))?;
        let secret = secrets.iter().find(|(known, _)| known == name).map(|(_, secret)| secret);
        filled.push_str(secret.ok_or_else(|| failed("there is no secret of that name"))?.reveal());
        match after.split_once(SECRET) {
            Some(next) => (before, rest) = next,
            None => {
                filled.push_str(after);
                return Ok(Some(filled));
            }
        }
    }
}

pub(super) fn failed(why: &str) -> ServiceError {
    ServiceError::Failed(why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::facts::HostFact;

    fn fact() -> FetchFact {
        FetchFact {
            hosts: ["api.example.com", "*.example.org", "http://127.0.0.1:8080"].map(|host| HostFact::parse(host).unwrap()).into(),
            secrets: vec![("TOKEN".to_owned(), Secret::new("s3cr3t")), ("OTHER".to_owned(), Secret::new("more"))],
            max_bytes: 100,
            timeout: Duration::from_secs(1),
        }
    }

    fn call(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Call, ServiceError> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = FetchRequest { method: method.into(), url: url.into(), headers, body: b"body".to_vec() };
        Call::read(request, &fact())
    }

    fn header(call: &Call, name: &str) -> Option<String> {
        call.request().headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_hosts_of_the_list_are_called() {
        for url in
            ["https://api.example.com/x", "https://API.example.com:443/", "https://a.b.example.org/", "http://127.0.0.1:8080/"]
        {
            assert!(call("GET", url, &[]).is_ok(), "{url}");
        }
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://example.org/",
            "https://api.example.com.evil.example/",
            "https://evil.example/#api.example.com",
            "https://evil.example/?https://api.example.com",
            "https://api.example.com./",
            "https://127.0.0.1:8080/",
            "http://127.0.0.2:8080/",
            "http://2130706433:8080/",
        ] {
            assert_eq!(call("GET", url, &[]).unwrap_err(), ServiceError::Denied, "{url}");
        }
        assert!(matches!(call("GET", "https://x@api.example.com/", &[]), Err(ServiceError::Failed(_))));
        for method in ["get", "TRACE", "CONNECT", "OPTIONS", ""] {
            assert!(call(method, "https://api.example.com/", &[]).is_err(), "{method}");
        }
    }

    #[test]
    fn secrets_stand_in_values_of_headers_and_nowhere_else() {
        let url = "https://api.example.com/?k=$%7Bsecret:TOKEN%7D";
        let made = call("POST", url, &[("authorization", "Bearer ${secret:TOKEN}"), ("x-two", "${secret:TOKEN}-${secret:OTHER}!")])
            .unwrap();
        assert_eq!(header(&made, "authorization").unwrap(), "Bearer s3cr3t");
        assert_eq!(header(&made, "x-two").unwrap(), "s3cr3t-more!");
        let shown = format!("{made:?} {:?}", made.request().headers());
        assert!(!shown.contains("s3cr3t") && !shown.contains("more!"), "{shown}");
        assert!(!made.request().uri().to_string().contains("s3cr3t"));
        for value in ["${secret:NONE}", "${secret:TOKEN"] {
            let error = call("GET", "https://api.example.com/", &[("a", value)]).unwrap_err().to_string();
            assert!(error.starts_with("failed") && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn headers_cannot_make_two_requests_of_one() {
        for (name, value) in [
            ("a", "x\r\nhost: evil"),
            ("a\r\nb", "x"),
            ("a b", "x"),
            ("Host", "evil"),
            ("Content-Length", "0"),
            ("transfer-encoding", "chunked"),
            ("a", "\0"),
        ] {
            assert!(matches!(call("GET", "https://api.example.com/", &[(name, value)]), Err(ServiceError::Failed(_))), "{name:?}");
        }
        let many: Vec<(&str, &str)> = vec![("a", "b"); 65];
        assert!(matches!(call("GET", "https://api.example.com/", &many), Err(ServiceError::Limit(_))));
        let long = "x".repeat(20_000);
        assert!(matches!(call("GET", "https://api.example.com/", &[("a", &long)]), Err(ServiceError::Limit(_))));
    }

    #[test]
    fn a_redirect_stays_on_the_list_and_what_is_meant_for_one_server_stays_there() {
        let headers =
            [("authorization", "Basic x"), ("x-key", "${secret:TOKEN}"), ("cookie", "c"), ("x-plain", "p"), ("content-type", "t")];
        let made = call("POST", "https://api.example.com/a/b", &headers).unwrap();
        let to = |status: u16, location: &str| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(location).unwrap())]);
            made.redirected(StatusCode::from_u16(status).unwrap(), &headers, &fact())
        };
        let here = to(307, "/c").unwrap().unwrap();
        assert_eq!((here.method.as_str(), &here.body[..]), ("POST", &b"body"[..]));
        assert_eq!((header(&here, "x-key").unwrap().as_str(), here.place.uri.path()), ("s3cr3t", "/c"));
        let there = to(308, "https://cdn.example.org/c").unwrap().unwrap();
        assert_eq!(header(&there, "x-plain").unwrap(), "p");
        for name in ["authorization", "x-key", "cookie"] {
            assert_eq!(header(&there, name), None, "{name}");
        }
        for status in [301, 302, 303] {
            let anew = to(status, "https://cdn.example.org/c").unwrap().unwrap();
            assert_eq!((anew.method.as_str(), anew.body.len(), header(&anew, "content-type")), ("GET", 0, None));
        }
        for outside in ["https://evil.example/", "http://api.example.com/", "http://169.254.169.254/", "https://api.example.com:1/"]
        {
            assert_eq!(to(302, outside).unwrap_err(), ServiceError::Denied, "{outside}");
        }
        assert!(to(200, "/c").unwrap().is_none() && to(304, "/c").unwrap().is_none());
        let nowhere = made.redirected(StatusCode::FOUND, &HeaderMap::new(), &fact());
        assert!(nowhere.unwrap().is_none());
    }
}

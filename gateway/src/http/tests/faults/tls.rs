//! Servers with which TLS fails: one answers in plain text, the other shows a certificate that nobody vouches for but itself.
//!
//! Apart because all other servers here speak HTTP. It must not know what a fault is to a client.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::upstreams::remote::rig::{hear, request, upstream};

/// For 127.0.0.1 until 2124, with its key.
const SELF_SIGNED: &[u8] = include_bytes!("self_signed.pem");

/// The URL of a server of one connection.
fn once(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    url
}

/// A server that takes what it hears for HTTP.
pub(super) fn plain() -> String {
    once(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    })
}

/// A server whose certificate is signed by itself.
pub(super) fn self_signed() -> String {
    let (chain, key) = (CertificateDer::from_pem_slice(SELF_SIGNED), PrivateKeyDer::from_pem_slice(SELF_SIGNED));
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(builder.with_single_cert(vec![chain.unwrap()], key.unwrap()).unwrap());
    once(move |mut stream| {
        let mut tls = ServerConnection::new(config).unwrap();
        while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
    })
}

#[tokio::test]
async fn each_server_fails_tls_in_its_own_way() {
    for (url, why) in [(plain(), "InvalidContentType"), (self_signed(), "UnknownIssuer")] {
        let fault = hear(&upstream(&url), request()).await.1.unwrap();
        assert!(fault.detail.as_deref().is_some_and(|detail| detail.contains(why)), "{fault:?}");
    }
}

//! The API, as who has a token calls it; and what operators do with plugin versions.

use jimo_connect::{
    host::Host,
    secrets::{hash_token, random_token},
    store::projects::{Purpose, Role},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{answer::Answer, bare::client};

/// Whoever has a token of a host.
pub struct Caller {
    /// Where the host's API is.
    url: String,
    token: String,
}

impl Caller {
    /// An operator of a host, with a token of their own.
    pub async fn operator(host: &Host) -> Self {
        let token = random_token();
        let (hash, now) = (hash_token(&token), host.clock.now());
        let made = host.store.transact(move |tx| {
            tx.create_token(hash, None, Role::Operator, Purpose::Api, now, None)
        });
        made.await.unwrap();
        Self::at(host.url("").as_str(), token.expose())
    }

    /// Whoever has a token of the host at an address.
    pub fn at(url: &str, token: &str) -> Self {
        Self {
            url: format!("{}/api/v1", url.trim_end_matches('/')),
            token: token.to_owned(),
        }
    }

    /// A request to a path of the API, to be built further.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        client().request(method, url).bearer_auth(&self.token)
    }

    /// What a path of the API answers.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// What is answered to what is sent.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    /// What is answered to a component that is to be installed.
    pub async fn try_install(&self, component: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(Method::POST, "/plugins");
        let request = request.query(&[("file", "it.wasm")]);
        Answer::of(request.body(component.into())).await
    }

    /// Installs a component; returns its digest.
    pub async fn install(&self, component: impl Into<Vec<u8>>) -> String {
        let installed = self.try_install(component).await;
        assert_eq!(installed.status, 201, "{:#}", installed.json);
        installed.json["digest"].as_str().unwrap().to_owned()
    }

    /// What is answered where a version is to be activated in this manner.
    pub async fn activate(&self, digest: &str, how: Value) -> Answer {
        self.post(&format!("/plugins/{digest}/activate"), how).await
    }

    /// Installs and activates a component, whatever it was compared with; returns its
    /// digest.
    pub async fn run(&self, component: impl Into<Vec<u8>>) -> String {
        let digest = self.install(component).await;
        let activated = self.activate(&digest, json!({"force": true})).await.good();
        assert_eq!(activated["active"], true, "{activated:#}");
        digest
    }
}

//! Derived items, and what is refused of them before anything is opened.

use bulla_shared::resources::sealed_secret::{SealedSecret, SecretTemplate};
use bulla_tests::cluster::{items, plain, seal};

use crate::shared;

#[tokio::test]
async fn derived_items_stand_beside_the_values() {
    let cluster = shared().await;
    cluster.namespace("templates").await;
    let recipient = cluster.recipient().await;
    let with = |name: &str, text: &str| -> SealedSecret {
        let mut sealed = seal(&plain("templates", name, &[("password", "p&ss w\"rd")]), &recipient);
        let data = [("url".to_owned(), text.to_owned())].into();
        sealed.spec.template = Some(SecretTemplate { data, ..SecretTemplate::default() });
        sealed
    };
    cluster.apply(&with("url", "postgres://app:{{ password | urlencode }}@db/app")).await;
    cluster.wait("templates", "url", "Ready").await;
    let values = cluster.values("templates", "url").await;
    assert_eq!(values, ["password=p&ss w\"rd", "url=postgres://app:p%26ss%20w%22rd@db/app"]);

    // Whether a private key is empty would show in the API server's answer.
    let mut ssh = with("ssh", "x");
    let data = [("ssh-privatekey".to_owned(), "{{ password | trim }}".to_owned())].into();
    ssh.spec.template =
        Some(SecretTemplate { data, type_: Some("kubernetes.io/ssh-auth".to_owned()), ..SecretTemplate::default() });
    cluster.apply(&ssh).await;
    cluster.wait("templates", "ssh", "SpecRefused").await;

    // How long a write takes would count the line feeds of the value.
    cluster.apply(&with("amplified", &"{{ password | indent 64 }}".repeat(65))).await;
    let refused = cluster.wait("templates", "amplified", "SpecRefused").await;
    assert!(refused.status.unwrap().conditions[0].message.contains("more than 64 substitutions"));

    cluster.apply(&with("bad", "{{ nobody }}")).await;
    let refused = cluster.wait("templates", "bad", "TemplateRefused").await;
    assert_eq!(items(&refused)[0]["state"], "NotTried");
    let message = &refused.status.unwrap().conditions[0].message;
    assert!(message.starts_with("template of item url: line 1, column"), "{message}");
}

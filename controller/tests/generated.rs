//! The committed definitions are those of the types. `BULLA_UPDATE=1 cargo test -p bulla-controller --test generated` writes them.

use std::path::Path;

#[test]
fn definitions_are_generated_from_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/chart/definitions");
    for crd in bulla_shared::resources::crds() {
        let path = folder.join(format!("{}.yaml", crd.spec.names.plural));
        let body = serde_saphyr::to_string(&crd).unwrap();
        let wanted = format!("# Generated from shared/src/resources: `just generate`.\n{body}");
        if std::env::var_os("BULLA_UPDATE").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == wanted, "{} is stale: run `just generate`", path.display());
    }
}

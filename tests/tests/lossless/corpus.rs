//! Manifests as they are found in repositories: hand-written shapes, each in several surroundings.
//!
//! In a shape, `⟦item:style⟧` stands for a sealed value. Two items are in every shape: `a` and `b`, of an object `db` in namespace `prod`.

/// How a value is written, at which indentation of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Plain,
    Single,
    Double,
    Folded(usize),
    Literal(usize),
    Wrapped(usize),
}

impl Written {
    fn parse(text: &str) -> Self {
        let (style, indent) = text.split_once(' ').map_or((text, 0), |(style, indent)| (style, indent.parse().unwrap()));
        match style {
            "plain" => Self::Plain,
            "single" => Self::Single,
            "double" => Self::Double,
            "folded" => Self::Folded(indent),
            "literal" => Self::Literal(indent),
            "wrapped" => Self::Wrapped(indent),
            _ => panic!("{style}"),
        }
    }

    /// A value in this style.
    fn original(self, value: &str) -> String {
        let block = |header: &str, indent: usize| format!("{header}\n{}{value}", " ".repeat(indent));
        match self {
            Self::Plain => value.to_owned(),
            Self::Single => format!("'{value}'"),
            Self::Double => format!("\"{value}\""),
            Self::Folded(indent) => block(">-", indent),
            Self::Literal(indent) => block("|-  # a comment in the header", indent),
            Self::Wrapped(indent) => {
                let (first, second) = value.split_at(value.len() / 2);
                format!("\"{first}\\\n{}{second}\"", " ".repeat(indent))
            }
        }
    }

    /// What takes its place: quotes stay, blocks become one line.
    fn edited(self, value: &str) -> String {
        match self {
            Self::Plain | Self::Folded(_) | Self::Literal(_) => value.to_owned(),
            Self::Single => format!("'{value}'"),
            Self::Double | Self::Wrapped(_) => format!("\"{value}\""),
        }
    }
}

/// A manifest with two sealed values.
pub(crate) struct Manifest {
    pub(crate) name: String,
    shape: String,
}

impl Manifest {
    /// The text with these values of `a` and `b`; those that are `new` are written as an edit writes them.
    pub(crate) fn text(&self, values: [(&str, bool); 2]) -> String {
        let mut text = String::new();
        let mut rest = self.shape.as_str();
        while let Some((before, after)) = rest.split_once('⟦') {
            let (slot, after) = after.split_once('⟧').unwrap();
            let (item, style) = slot.split_once(':').unwrap();
            let (value, new) = values[usize::from(item == "b")];
            let written = Written::parse(style);
            let token = if new { written.edited(value) } else { written.original(value) };
            text.push_str(before);
            text.push_str(&if self.shape.contains("\r\n") { token.replace('\n', "\r\n") } else { token });
            rest = after;
        }
        text + rest
    }
}

/// All of them.
pub(crate) fn corpus() -> Vec<Manifest> {
    let mut all = Vec::new();
    for (shape_name, shape) in SHAPES {
        for (name, surround) in SURROUNDINGS {
            if let Some(text) = surround(shape) {
                all.push(Manifest { name: format!("{shape_name}, {name}"), shape: text });
            }
        }
    }
    all
}

const SHAPES: &[(&str, &str)] = &[
    (
        "as bulla writes it",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata:
  name: db
  namespace: prod
spec:
  encryptedData:
    a: ⟦a:plain⟧
    b: ⟦b:plain⟧
  template:
    type: Opaque
",
    ),
    (
        "comments everywhere",
        "# head: a
apiVersion: bulla.dev/v1alpha1 # version
kind: SealedSecret   # kind: Secret
metadata: # meta
  # name
  name: db
  namespace: prod
spec: # spec
  encryptedData: # data

    # about a: it's \"quoted\"
    a: ⟦a:plain⟧ # behind a

    # about b
    b: ⟦b:plain⟧   # behind b
    # at the end of the items
  # less
# least
",
    ),
    (
        "folded old value",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData:
    a: ⟦a:folded 6⟧

    b: ⟦b:folded 12⟧
  suspend: false
",
    ),
    (
        "literal old value",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData:
    a: ⟦a:literal 5⟧
    b: ⟦b:literal 8⟧
",
    ),
    (
        "quotes",
        "\"apiVersion\": 'bulla.dev/v1alpha1'
'kind': \"SealedSecret\"
metadata: {\"name\": \"db\", 'namespace': 'prod'}
spec:
  \"encryptedData\":
    'a':   ⟦a:single⟧
    \"b\": ⟦b:double⟧
",
    ),
    (
        "wrapped in quotes",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata:
    name: db
    namespace: prod
spec:
    encryptedData:
        a: ⟦a:wrapped 10⟧
        b: ⟦b:wrapped 9⟧
",
    ),
    (
        "items first, deep indentation",
        "spec:
        encryptedData:
                  a: ⟦a:plain⟧
                  b: ⟦b:plain⟧
kind: SealedSecret
metadata:
        namespace: prod
        name: db
apiVersion: bulla.dev/v1alpha1
",
    ),
    (
        "value on the next line",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData:
    a:
      ⟦a:plain⟧
    b:
      # between key and value
      ⟦b:plain⟧
",
    ),
    (
        "flow items",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod, labels: {app: db}}
spec: {encryptedData: {a: ⟦a:plain⟧, b: ⟦b:plain⟧}, suspend: true}
",
    ),
    (
        "flow items on lines",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData: {
    a: ⟦a:plain⟧, # behind, a
    # before b
    b: ⟦b:double⟧,
  }
",
    ),
    (
        "JSON",
        "{
  \"apiVersion\": \"bulla.dev/v1alpha1\",
  \"kind\": \"SealedSecret\",
  \"metadata\": {\"name\": \"db\", \"namespace\": \"prod\"},
  \"spec\": {
    \"encryptedData\": {
      \"a\": ⟦a:double⟧,
      \"b\": ⟦b:double⟧
    }
  }
}
",
    ),
    (
        "JSON in one line",
        "{\"apiVersion\":\"bulla.dev/v1alpha1\",\"kind\":\"SealedSecret\",\"metadata\":{\"name\":\"db\",\"namespace\":\"prod\"},\"spec\":{\"encryptedData\":{\"a\":⟦a:double⟧,\"b\":⟦b:double⟧}}}\n",
    ),
    (
        "List, dash indented",
        "apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: c}
    data: {a: \"1\"}
  - apiVersion: bulla.dev/v1alpha1
    kind: SealedSecret
    metadata: {name: db, namespace: prod}
    spec:
      encryptedData:
        a: ⟦a:plain⟧
        b: ⟦b:plain⟧
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: d}}
",
    ),
    (
        "List, dash not indented",
        "apiVersion: v1
items:
- apiVersion: bulla.dev/v1alpha1
  kind: SealedSecret
  metadata:
    name: db
    namespace: prod
  spec:
    encryptedData:
      a: ⟦a:folded 8⟧
      b: ⟦b:plain⟧
kind: List
metadata:
  resourceVersion: \"\"
",
    ),
    (
        "List in JSON",
        "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [
  {\"apiVersion\": \"bulla.dev/v1alpha1\", \"kind\": \"SealedSecret\", \"metadata\": {\"name\": \"db\", \"namespace\": \"prod\"},
   \"spec\": {\"encryptedData\": {\"a\": ⟦a:double⟧, \"b\": ⟦b:double⟧}}},
  {\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"c\"}}
]}
",
    ),
    (
        "rendered by Helm",
        "---
# Source: shop/charts/db/templates/sealed.yaml
apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata:
  name: db
  namespace: prod
  labels:
    helm.sh/chart: db-1.2.3
    app.kubernetes.io/managed-by: Helm
  annotations:
    note: |

      several lines: # no comment

        indented
spec:
  encryptedData:
    a: ⟦a:plain⟧
    b: ⟦b:plain⟧
---
# Source: shop/templates/empty.yaml
",
    ),
    (
        "output of kustomize",
        "apiVersion: v1
data:
  app.conf: |
    [db]
    password = ${PASSWORD}
kind: ConfigMap
metadata:
  name: app-f2g5k8h7tm
  namespace: prod
---
apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata:
  name: db
  namespace: prod
spec:
  encryptedData:
    a: ⟦a:plain⟧
    b: ⟦b:plain⟧
  template:
    data:
      url: postgres://app:{{ a | urlencode }}@db/app
    metadata:
      labels:
        app: shop
",
    ),
    (
        "anchors elsewhere",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata:
  name: db
  namespace: prod
  labels: &labels
    app: db
    tier: &tier back
spec:
  encryptedData:
    a: ⟦a:plain⟧
    b: ⟦b:plain⟧
  template:
    metadata:
      labels: *labels
      annotations: {tier: *tier}
",
    ),
    (
        "between other documents",
        "---
{apiVersion: v1, kind: ConfigMap, metadata: {name: first}, data: {<<: {a: b}}}
--- # the sealed one
apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec: {encryptedData: {a: ⟦a:single⟧,b: ⟦b:single⟧}}
...
---
apiVersion: v1
kind: ConfigMap
metadata: {name: last}
data:
  x: \"⚷ \\u2028 — ümlaut\"
",
    ),
    (
        "two sealed objects",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData:
    a: ⟦a:plain⟧
    b: ⟦b:literal 6⟧
---
apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: api, namespace: prod}
spec:
  encryptedData:
    # the same names
    a: ⟦a:plain⟧
    b: ⟦b:plain⟧
",
    ),
    (
        "item names that need care",
        "apiVersion: bulla.dev/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData:
    \"on\": ⟦a:plain⟧
    a: ⟦a:plain⟧
    '1.0': ⟦b:plain⟧
    .dockerconfigjson: ⟦b:plain⟧
    b: ⟦b:plain⟧
    \"null\": ⟦a:double⟧
",
    ),
    (
        "tags",
        "apiVersion: !!str bulla.dev/v1alpha1
kind: SealedSecret
metadata: !!map
  name: db
  namespace: prod
spec:
  encryptedData: !!map
    a: !!str ⟦a:plain⟧
    b: &unused ⟦b:double⟧
",
    ),
];

/// A shape in a surrounding; none where the two do not go together.
type Surround = fn(&str) -> Option<String>;

fn is_json(shape: &str) -> bool {
    shape.starts_with('{')
}

const SURROUNDINGS: &[(&str, Surround)] = &[
    ("alone", |shape| Some(shape.to_owned())),
    ("CRLF", |shape| Some(shape.replace('\n', "\r\n"))),
    ("BOM", |shape| Some(format!("\u{feff}{shape}"))),
    ("no final newline", |shape| Some(shape.trim_end().to_owned())),
    ("blank lines at the end", |shape| Some(format!("{shape}\n\n   \n"))),
    ("unicode before", |shape| (!is_json(shape)).then(|| format!("# ключ 🔑 – naïve, 鍵\n{shape}"))),
    ("tabs in comments", |shape| (!is_json(shape)).then(|| format!("#\tone\t# two\n{}", shape.replace(" # ", " #\t")))),
    ("a long line before", |shape| (!is_json(shape)).then(|| format!("# {}\n{shape}", "long ".repeat(4000)))),
    ("another document before", |shape| {
        let first = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &n before}\ndata:\n  n: *n\n  t: |+\n    kept\n\n\n";
        Some(format!("{first}---\n{shape}")).filter(|_| !shape.starts_with("---"))
    }),
    ("another document after", |shape| {
        let last = "---\n# c\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: after}\ndata: {on: \"1\", text: 'a\n\n  b'}\n";
        (!is_json(shape)).then(|| format!("{shape}{last}"))
    }),
    ("a marker before", |shape| (!shape.starts_with("---")).then(|| format!("---\n\n{shape}"))),
];

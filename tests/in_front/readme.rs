//! The command of README.md that this product exists for, run as it is printed: with a certificate for the
//! panel's host from an authority that curl is told of, and on the ports that `init` writes, in a network
//! of its own.

use std::fs;
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::behind::HOST;
use crate::document::{README, block};

/// Starts the gateway, and then does what README.md says.
const SCRIPT: &str = r#"
ip link set lo up
portcullis init --host panel.example.org --upstream http://127.0.0.1:8080 >init.out
cp pem config/gateway.pem
cp key config/gateway.key
chmod 600 config/gateway.key
portcullis serve >serve.out 2>&1 &
gateway=$!
trap 'kill $gateway' EXIT
for _ in $(seq 200); do
    portcullis user list --json >/dev/null 2>&1 && [[ -S var/management.sock ]] && break
    sleep 0.1
done
portcullis user add ada --role operator --json >/dev/null
export TOKEN=$(
README_TOKEN
)
README_CURL
"#;

#[test]
fn its_password_changed_works_as_printed() {
    let printed = block(README, "sh", "password-changed");
    let (token, curl) = printed.split_once("\n\n").unwrap();
    assert!(token.starts_with("portcullis token add") && curl.starts_with("curl -X POST"));
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, HOST);
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    fs::write(place("pem"), leaf.pem()).unwrap();
    fs::write(place("key"), key.serialize_pem()).unwrap();
    fs::write(place("ca"), authority.pem()).unwrap();
    let script = SCRIPT
        .replace("README_TOKEN", token)
        .replace("README_CURL", curl);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_portcullis"));
    let own = binary.parent().unwrap().display();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("unshare")
        .args(["--net", "bash", "-euc", &script])
        .current_dir(folder.path())
        .env("PATH", format!("{own}:{path}:/usr/sbin"))
        .env("CURL_CA_BUNDLE", place("ca"))
        .env_remove("PORTCULLIS_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let served = fs::read_to_string(place("serve.out")).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}\n{served}");
    let answer: serde_json::Value =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}\n{output:?}\n{served}"));
    assert_eq!(answer["user"], "ada", "{answer}");
    assert_eq!(answer["durable"], true, "{answer}");
}

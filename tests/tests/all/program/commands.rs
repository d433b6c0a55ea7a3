//! The commands of the program.

use ota_sim::{Fault, FaultKind, FleetShape};
use ota_tests::gateway::head;
use ota_tests::program::{command, run, run_command, stderr, stdout};
use ota_tests::token::SECRET;
use ota_tests::vendors::{ACCESS_KEY_SECRET, APP_SECRET, alibaba_sim, huawei_sim};
use ota_tests::{Section, contract, wire};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::program::configuration::{File, alibaba, changed};
use crate::setup::{ALI, HUA};

#[tokio::test]
async fn wrong_arguments_are_told_from_wrong_configuration() {
    for arguments in [
        &["frobnicate"][..],
        &["--nope"],
        &["token", "--ttl-s", "soon"],
    ] {
        assert_eq!(run(arguments).await.status.code(), Some(2), "{arguments:?}");
    }
    let help = run(&["--help"]).await;
    assert!(help.status.success());
    for word in ["serve", "check", "openapi", "token", "--config", "78"] {
        assert!(stdout(&help).contains(word), "{word}");
    }
    assert!(run(&["--version"]).await.status.success());
}

#[tokio::test]
async fn openapi_prints_the_checked_in_document_without_a_configuration() {
    let output = run(&["openapi"]).await;
    assert!(output.status.success());
    assert!(
        stdout(&output) == contract::text(),
        "openapi/gateway.v1.json is not what is printed"
    );
}

#[tokio::test]
async fn check_tells_in_a_table_which_provider_answers() {
    let (ali, hua) = (
        alibaba_sim(FleetShape::uniform(1, 3).frozen()).await,
        huawei_sim(FleetShape::uniform(1, 3).frozen()).await,
    );
    let text = head()
        + &Section::alibaba(ALI, &ali.url()).to_toml()
        + &Section::huawei(HUA, &hua.url()).to_toml();
    let file = File::new(&text);
    let output = run(&["check", "--config", file.path()]).await;
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{table}{}", stderr(&output));
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].contains("PROVIDER") && rows[0].contains("STATE"));
    assert!(rows[1].contains("ListOTAFirmware"), "{table}");
    assert!(rows[2].contains("login, queryUpgradeTaskList"), "{table}");
    assert!(
        rows[1].starts_with(ALI) && rows[1].contains("alibaba-iot") && rows[1].contains(" ok "),
        "{table}"
    );
    assert!(
        rows[2].starts_with(HUA) && rows[2].contains("huawei-iot") && rows[2].contains(" ok "),
        "{table}"
    );
    assert_eq!(
        (ali.counters().total_calls(), hua.counters().total_calls()),
        (1, 2)
    );

    ali.set_faults(vec![Fault::always(FaultKind::EchoSignature)]);
    let output = run(&["check", "--config", file.path()]).await;
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{table}");
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows[1].contains("provider_auth") && !rows[1].contains(" ok "),
        "{table}"
    );
    assert!(
        rows[2].contains(" ok "),
        "one's trouble is not the other's: {table}"
    );
    assert!(
        table.contains(
            "How to fix it:\n  ali: compare `access_key_id` and `access_key_secret_file`"
        ),
        "{table}"
    );
    for hidden in [
        ACCESS_KEY_SECRET,
        APP_SECRET,
        SECRET,
        "string to sign",
        "AccessKeyId",
    ] {
        assert!(
            !table.contains(hidden) && !stderr(&output).contains(hidden),
            "{hidden}"
        );
    }
}

#[tokio::test]
async fn check_says_for_each_kind_of_trouble_how_to_mend_it() {
    let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let keys = ota_tests::Script::start(|_| ota_tests::Answer::json("{\"keys\":[]}")).await;
    let auth = format!("jwks_url = \"{}/keys?secret=hunter2\"", keys.url());
    let head = head().replace(&format!("hs256_secret = \"{SECRET}\""), &auth);
    let section = Section::alibaba(ALI, &sim.url())
        .limit("timeout_ms = 500")
        .to_toml();
    let gone = Section::alibaba("gone", "http://127.0.0.1:1").to_toml();
    let file = File::new(&(head + &section + &gone));
    for (fault, code, words) in [
        (
            FaultKind::Throttle,
            "provider_throttled",
            "lower `limits.calls`",
        ),
        (
            FaultKind::Html200,
            "provider_protocol",
            "something else than the vendor's API",
        ),
        (
            FaultKind::Delay,
            "provider_timeout",
            "raise `limits.timeout_ms`",
        ),
    ] {
        let fault = Fault::always(fault).delay(std::time::Duration::from_secs(2));
        sim.set_faults(vec![fault]);
        let output = run(&["check", "--config", file.path()]).await;
        let table = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{table}");
        let rows: Vec<&str> = table.lines().collect();
        assert!(
            rows[1].starts_with(ALI) && rows[1].contains(code),
            "{table}"
        );
        assert!(rows[2].contains("provider_unavailable"), "{table}");
        assert!(
            rows[3].starts_with("(tokens)") && rows[3].contains("no key that can be used"),
            "{table}"
        );
        assert!(table.contains(words), "{table}");
        assert!(
            table.contains("  gone: nothing answers at the endpoint"),
            "{table}"
        );
        assert!(
            table.contains("  (tokens): no token can be verified"),
            "{table}"
        );
        assert!(!table.contains("hunter2"), "{table}");
    }
}

#[tokio::test]
async fn check_offline_calls_nothing_and_checks_everything_else() {
    let vendor = ota_tests::Script::start(|_| ota_tests::Answer::json("{}")).await;
    let keys = ota_tests::Script::start(|_| ota_tests::Answer::json("{\"keys\":[]}")).await;
    let auth = format!("jwks_url = \"{}/keys\"", keys.url());
    let head = head().replace(&format!("hs256_secret = \"{SECRET}\""), &auth);
    let text = head
        + &Section::alibaba(ALI, &vendor.url()).to_toml()
        + &Section::huawei(HUA, &vendor.url()).to_toml();
    let output = run(&["check", "--offline", "--config", File::new(&text).path()]).await;
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{table}{}", stderr(&output));
    for name in [ALI, HUA] {
        let row = table.lines().find(|line| line.starts_with(name));
        assert!(row.is_some_and(|row| row.contains("not called")), "{table}");
    }
    assert!(vendor.seen().is_empty() && keys.seen().is_empty());
    let wrong = changed(text, "app_id", "app_id = \"\"");
    let output = run(&["check", "--offline", "--config", File::new(&wrong).path()]).await;
    assert_eq!(output.status.code(), Some(78), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("providers.hua.app_id"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn a_vendor_cannot_forge_a_row_of_check_or_colour_the_terminal() {
    let forged = "\u{1b}[2K\rx\nforged  alibaba-iot  ok\u{9b}31m\u{202e}\u{85}";
    let vendor = ota_tests::Script::start(move |_| {
        let answer = serde_json::json!({
            "Success": false, "Code": format!("iot.system.Forged{forged}"), "ErrorMessage": forged, "RequestId": forged,
        });
        ota_tests::Answer::json(answer.to_string())
    })
    .await;
    let text =
        head() + &Section::alibaba(ALI, &vendor.url()).to_toml() + "[log]\nfilter = \"trace\"\n";
    let output = run(&["check", "--config", File::new(&text).path()]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(!vendor.seen().is_empty());
    for text in [stdout(&output), stderr(&output)] {
        assert!(
            !text.lines().any(|line| line.starts_with("forged")),
            "{text:?}"
        );
        let bad = |c: char| c != '\n' && ota_core::escape::is_unsafe(c);
        assert!(!text.contains(bad), "{text:?}");
    }
    assert!(stdout(&output).contains("Forged"), "{}", stdout(&output));
}

/// A program that serves: the child, the lines it logs, and where it listens.
pub(crate) type Serving = (
    tokio::process::Child,
    tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
    std::net::SocketAddr,
);

/// Starts `serve`.
async fn serve(file: &File) -> Serving {
    listening(command(&["serve", "--config", file.path()])).await
}

/// Starts a command that serves, and waits until it listens.
pub(crate) async fn listening(mut command: tokio::process::Command) -> Serving {
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = tokio::time::timeout(wire::PATIENCE, async {
        loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("the program tells where it listens");
            if let Some(at) = line.find("listening on http://") {
                let rest = &line[at + "listening on http://".len()..];
                let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
                return rest[..end.unwrap_or(rest.len())].parse().unwrap();
            }
        }
    });
    let address = address.await.unwrap();
    (child, lines, address)
}

pub(crate) async fn signal(child: &tokio::process::Child, name: &str) {
    let id = child.id().unwrap().to_string();
    let sent = tokio::process::Command::new("sh")
        .args(["-c", &format!("kill -{name} {id}")])
        .status();
    assert!(sent.await.unwrap().success());
}

#[tokio::test]
async fn serve_answers_with_a_token_of_the_program_and_ends_cleanly_on_sigterm() {
    let sim = alibaba_sim(FleetShape::uniform(2, 5).frozen()).await;
    let file = File::new(&(head() + &Section::alibaba(ALI, &sim.url()).to_toml()));
    let (mut child, mut lines, address) = serve(&file).await;
    let minted = async |arguments: &[&str]| {
        let arguments = [&["token", "--config", file.path()][..], arguments].concat();
        let output = run(&arguments).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        assert_eq!(text.lines().count(), 1);
        text.trim().to_owned()
    };
    let get = async |path: &str, token: &str| {
        let headers = [
            ("Host".to_owned(), address.to_string()),
            ("Authorization".to_owned(), format!("Bearer {token}")),
        ];
        wire::exchange(address, &wire::request("GET", path, &headers, b"")).await
    };
    let token = minted(&[]).await;
    get("/v1/providers", &token).await.ok();
    get("/v1/providers/ali/jobs", &token).await.ok();
    get("/v1/providers", &minted(&["--scope", "ota:admin"]).await)
        .await
        .problem(403, "forbidden");
    get("/v1/providers/ali", &minted(&["--provider", ALI]).await)
        .await
        .ok();
    for (arguments, words) in [
        (["--provider", "other"], "no provider `other`"),
        (["--scope", "read"], "unknown scope `read`"),
        (
            ["--scope", "ota:write"],
            "unknown scope `ota:write`; this version has ota:read and ota:admin",
        ),
        (["--scope", "ota:raed"], "did you mean `ota:read`?"),
    ] {
        let refused = run(&[&["token", "--config", file.path()][..], &arguments].concat()).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    }

    // A hang-up is nothing to it.
    signal(&child, "HUP").await;
    get("/v1/providers", &token).await.ok();

    // A request in flight when the end is asked for is finished.
    sim.set_faults(vec![
        Fault::once(FaultKind::Delay).delay(std::time::Duration::from_millis(500)),
    ]);
    let slow = async { get("/v1/providers/ali/jobs", &token).await.ok() };
    let end = async {
        tokio::time::timeout(wire::PATIENCE, async {
            while sim.counters().faults_of(FaultKind::Delay) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        signal(&child, "TERM").await;
        // No one new is let in, while the one in progress is waited for.
        wire::until(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    };
    futures_util::future::join(slow, end).await;
    let status = tokio::time::timeout(wire::PATIENCE, child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    while let Some(line) = lines.next_line().await.unwrap() {
        for hidden in [SECRET, ACCESS_KEY_SECRET, token.as_str(), "Signature="] {
            assert!(!line.contains(hidden), "{line}");
        }
        assert!(!line.contains("panicked"), "{line}");
    }
}

#[tokio::test]
async fn the_environment_goes_over_the_file_and_can_name_it() {
    let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let file =
        File::new(&(head() + &Section::alibaba("ali-one", "https://10.255.255.1").to_toml()));
    let secret = file.folder.path().join("secret");
    std::fs::write(&secret, format!("{ACCESS_KEY_SECRET}\n")).unwrap();
    let mut command = command(&["check"]);
    command
        .env("OTA_GATEWAY_CONFIG", file.path())
        .env("OTA_GATEWAY__PROVIDERS__ALI_ONE__ENDPOINT", sim.url());
    let output = run_command(command).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(stdout(&output).contains(&sim.url()));

    let text = changed(
        head() + &Section::alibaba(ALI, &sim.url()).to_toml(),
        "access_key_secret",
        &format!("access_key_secret_file = \"{}\"", secret.display()),
    );
    let file = File::new(&text);
    let output = run(&["check", "--config", file.path()]).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

#[tokio::test]
async fn an_address_in_use_is_a_failure_and_not_a_wrong_configuration() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = \"{}\"", taken.local_addr().unwrap());
    let file = File::new(&changed(alibaba(), "listen", &listen));
    let output = run(&["serve", "--config", file.path()]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cannot listen"),
        "{}",
        stderr(&output)
    );
}

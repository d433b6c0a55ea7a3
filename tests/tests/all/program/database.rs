//! The database of the mirror as an operator meets it: the commands that look at it, and what cannot be used.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ota_sim::{FleetShape, Quota, Refusal, huawei};
use ota_store::{OpenSettings, Store};
use ota_tests::postgres::{Schema, server};
use ota_tests::program::{command, run_command, stderr, stdout};
use ota_tests::token::minted;
use ota_tests::vendors::{alibaba_sim, huawei_config};
use ota_tests::{Section, gateway, wire};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Command;

use crate::program::commands::{listening, signal};
use crate::program::configuration::{File, alibaba};
use crate::setup::{ALI, HUA};

/// A configuration with a mirror; a relative file lies beside the configuration. Other gateways can share a database of PostgreSQL.
fn with_database(text: &str, url: &str) -> File {
    File::new(&format!(
        "{text}[mirror]\ndatabase_url = \"{url}\"\n[cluster]\nadvertise_url = \"http://gateway-1.internal:8080\"\n"
    ))
}

/// The program in the folder of its configuration, with its mirror.
pub(super) fn program(file: &File, arguments: &[&str]) -> Command {
    let mut command = command(&[arguments, &["--config", file.path()]].concat());
    command
        .env_remove("OTA_GATEWAY__MIRROR__ENABLED")
        .current_dir(file.folder.path());
    command
}

/// Runs it, and returns exit code, standard output and standard error.
pub(super) async fn told(file: &File, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run_command(program(file, arguments)).await;
    (output.status.code(), stdout(&output), stderr(&output))
}

/// Asks a program that serves.
pub(super) async fn get(address: SocketAddr, path: &str) -> wire::Reply {
    let headers = [
        ("Host".to_owned(), address.to_string()),
        (
            "Authorization".to_owned(),
            format!("Bearer {}", minted("ota:read ota:admin", None)),
        ),
    ];
    wire::exchange(address, &wire::request("GET", path, &headers, b"")).await
}

/// Waits until the first pass has ended.
async fn mirrored(address: SocketAddr) {
    wire::until(async || {
        let reply = get(address, &format!("/v1/providers/{ALI}/sync")).await;
        reply.status == 200 && reply.ok()["state"] == "current"
    })
    .await;
}

#[tokio::test]
async fn status_verify_and_check_say_what_the_database_holds() {
    let sim = alibaba_sim(FleetShape::uniform(2, 5).frozen()).await;
    let text = gateway::head() + &Section::alibaba(ALI, &sim.url()).to_toml();
    let file = with_database(&text, "sqlite:mirror.db");

    let (code, table, _) = told(&file, &["check"]).await;
    assert_eq!(code, Some(0), "{table}");
    let not_yet = "\nMirror: mirror.db is not there yet; `serve` makes it\n";
    assert!(table.contains(not_yet), "{table}");
    let (code, _, error) = told(&file, &["mirror", "status"]).await;
    assert_eq!(code, Some(78), "{error}");
    let made = "there is no database yet; `ota-gateway serve` makes it\n";
    assert!(error.ends_with(made), "{error}");
    assert_eq!(told(&file, &["mirror", "verify"]).await.0, Some(78));
    let files = std::fs::read_dir(file.folder.path()).unwrap().flatten();
    let names: Vec<_> = files.map(|file| file.file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains("mirror.db")),
        "{names:?}"
    );

    let (mut child, _lines, address) = listening(program(&file, &["serve"])).await;
    mirrored(address).await;
    // While a gateway uses it.
    let (code, table, error) = told(&file, &["check"]).await;
    assert_eq!(code, Some(0), "{table}{error}");
    let line = table.lines().find(|line| line.starts_with("Mirror: "));
    let line = line.unwrap_or_else(|| panic!("{table}"));
    assert!(line.starts_with("Mirror: sqlite 3."), "{line}");
    assert!(
        line.contains(", schema ") && line.ends_with(" MB"),
        "{line}"
    );
    let (code, status, error) = told(&file, &["mirror", "status"]).await;
    assert_eq!(code, Some(0), "{error}");
    let described = line.strip_prefix("Mirror: ").unwrap();
    let engine = described.split(", ").next().unwrap();
    assert!(status.starts_with(engine), "{status}");
    let (first, _) = status.split_once('\n').unwrap();
    assert!(first.ends_with(", used by a gateway now"), "{status}");
    for words in [
        "\nali (alibaba-iot): 2 jobs, 10 tasks\n",
        "\n  first pass ended  20",
        "\n  last full pass    20",
    ] {
        assert!(status.contains(words), "no `{words}` in {status}");
    }
    let whole = (
        Some(0),
        "all counts are those of the rows\n".to_owned(),
        String::new(),
    );
    assert_eq!(told(&file, &["mirror", "verify"]).await, whole);

    // A backup while it runs is whole, and can be served from.
    let other = rusqlite::Connection::open(file.folder.path().join("mirror.db")).unwrap();
    let copy = with_database(&text, "sqlite:copy.db");
    let path = copy.folder.path().join("copy.db");
    other
        .execute("VACUUM INTO $1", [path.to_str().unwrap()])
        .unwrap();
    drop(other);
    assert_eq!(told(&copy, &["mirror", "verify"]).await, whole);
    let (_, restored, _) = told(&copy, &["mirror", "status"]).await;
    let rows = |status: &str| status.split_once('\n').unwrap().1.to_owned();
    let (first, _) = restored.split_once('\n').unwrap();
    assert!(first.ends_with(", used by no gateway now"), "{restored}");
    // While a gateway runs, a line says where the rest is.
    let (of_providers, rest) = status.split_once("\nA vendor that fails").unwrap();
    assert!(rest.contains("/sync"), "{status}");
    assert_eq!(rows(&restored), rows(of_providers));

    signal(&child, "TERM").await;
    let ended = tokio::time::timeout(wire::PATIENCE, child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    assert_eq!(told(&file, &["mirror", "verify"]).await, whole);
    let other = rusqlite::Connection::open(file.folder.path().join("mirror.db")).unwrap();
    let plant = "UPDATE jobs SET failed = failed + 5 WHERE pk = (SELECT min(pk) FROM jobs)";
    assert_eq!(other.execute(plant, []).unwrap(), 1);
    drop(other);
    let (code, differences, error) = told(&file, &["mirror", "verify"]).await;
    assert_eq!(code, Some(1), "{differences}{error}");
    assert!(differences.contains(", failed: kept "), "{differences}");
    let last = differences.lines().last().unwrap();
    assert!(last.contains(" difference"), "{differences}");
    assert_eq!(error, "");
    // What it holds can be shown all the same.
    assert_eq!(told(&file, &["mirror", "status"]).await.0, Some(0));
}

#[tokio::test]
async fn without_a_mirror_its_commands_say_so() {
    let file = File::new(&format!("{}[mirror]\nenabled = false\n", alibaba()));
    for command in ["status", "verify"] {
        let switched_off = "the mirror is switched off (mirror.enabled = false)\n";
        let expected = (Some(0), switched_off.to_owned(), String::new());
        assert_eq!(told(&file, &["mirror", command]).await, expected);
    }
}

/// `serve`, `check` and the commands of the mirror end with 78, name the place, and say nothing that they should not.
async fn refused(file: &File, words: &str) {
    refused_by(&["check", "--offline"], file, words).await;
    refused_online(file, words).await;
}

/// As [`refused`], of a server, which `check --offline` does not call.
async fn refused_online(file: &File, words: &str) {
    for arguments in [
        &["serve"][..],
        &["check"],
        &["mirror", "status"],
        &["mirror", "verify"],
    ] {
        refused_by(arguments, file, words).await;
    }
}

async fn refused_by(arguments: &[&str], file: &File, words: &str) {
    let (code, output, error) = told(file, arguments).await;
    assert_eq!(code, Some(78), "{arguments:?}: {error}");
    assert_eq!(output, "");
    assert!(
        error.contains(words),
        "{arguments:?}: no `{words}` in {error}"
    );
    let place = format!("{}:", file.path());
    assert!(error.contains(&place), "no `{place}` in {error}");
    assert!(error.contains("mirror.database_url"), "{error}");
    only_what_helps(&error);
}

fn only_what_helps(text: &str) {
    for never in ["hunter2", "panicked", "RUST_BACKTRACE", "thread '"] {
        assert!(!text.contains(never), "`{never}` in {text}");
    }
}

/// Makes a database as `serve` does.
async fn made(path: &Path) {
    let settings = OpenSettings {
        url: format!("sqlite:{}", path.display()),
        exclusive: true,
        create: true,
    };
    drop(Store::open(&settings).await.unwrap());
}

#[tokio::test]
async fn a_database_that_is_newer_than_the_program_is_refused() {
    let file = with_database(&alibaba(), "sqlite:mirror.db");
    let path = file.folder.path().join("mirror.db");
    made(&path).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    let newer = "INSERT INTO schema_migrations (version, checksum) VALUES (99, 'x')";
    other.execute_batch(newer).unwrap();
    drop(other);
    refused(&file, "newer than this program").await;
}

#[tokio::test]
async fn a_damaged_file_and_one_that_is_no_database_are_refused() {
    let file = with_database(&alibaba(), "sqlite:mirror.db");
    let path = file.folder.path().join("mirror.db");
    made(&path).await;
    // Its first bytes say that it is a database; what they lead to is none.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..4000].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    for beside in ["-wal", "-shm"] {
        let _absent = std::fs::remove_file(format!("{}{beside}", path.display()));
    }
    refused(&file, "it is damaged").await;
    std::fs::write(&path, "a text of some length\n".repeat(400)).unwrap();
    refused(&file, "no SQLite database").await;
}

#[tokio::test]
async fn a_folder_that_is_missing_or_may_not_be_written_is_refused() {
    let missing = with_database(&alibaba(), "sqlite:no/such/mirror.db");
    refused(&missing, "the folder of no/such/mirror.db does not exist").await;

    let read_only = tempfile::tempdir().unwrap();
    let mut rights = std::fs::metadata(read_only.path()).unwrap().permissions();
    rights.set_readonly(true);
    std::fs::set_permissions(read_only.path(), rights.clone()).unwrap();
    // Whoever may do everything may write there too, but not there where the system allows nobody.
    let folder = match std::fs::write(read_only.path().join("probe"), "") {
        Ok(()) => Path::new("/sys"),
        Err(_) => read_only.path(),
    };
    let url = format!("sqlite:{}/mirror.db", folder.display());
    let file = with_database(&alibaba(), &url);
    refused(&file, "its lock file cannot be made").await;
    refused(&file, "or set `mirror.enabled = false`").await;
}

#[tokio::test]
async fn a_url_of_another_kind_is_refused_without_its_password() {
    for url in [
        "mysql://ota:hunter2@db.example/ota",
        "sqlite::memory:",
        "sqlite:mirror.db?mode=ro",
        "hunter2",
        "",
        "postgres://ota:hunter2@db.example:port/ota",
        "postgres://ota:hunter2@db.example/ota?sslmode=maybe",
    ] {
        let file = with_database(&alibaba(), url);
        refused(&file, "database").await;
    }
}

#[tokio::test]
async fn two_gateways_never_share_a_file() {
    let file = with_database(&alibaba(), "sqlite:mirror.db");
    let (child, _lines, address) = listening(program(&file, &["serve"])).await;
    let (code, _, error) = told(&file, &["serve"]).await;
    assert_eq!(code, Some(78), "{error}");
    assert!(error.contains("another gateway uses it"), "{error}");
    // Its own advice is the only one.
    assert!(!error.contains("name another database"), "{error}");
    assert!(error.contains("mirror.database_url"), "{error}");
    // The first one is not disturbed, and the file is free again when it ends.
    get(address, "/v1/providers").await.ok();
    signal(&child, "KILL").await;
    drop(child);
    wire::until(async || TcpStream::connect(address).await.is_err()).await;
    let (_child, _lines, address) = listening(program(&file, &["serve"])).await;
    get(address, "/v1/providers").await.ok();
}

#[tokio::test]
async fn a_wrong_password_or_database_is_refused_without_the_password() {
    let Some(server) = server() else {
        return;
    };
    let (_, address) = server.rsplit_once('@').unwrap();
    let (host, _) = address.split_once('/').unwrap();
    // The server of the tests asks a name that begins so for its password.
    for url in [
        format!("postgres://secured:hunter2@{host}/postgres"),
        format!("postgres://ota:hunter2@{host}/no_such_database"),
    ] {
        let file = with_database(&alibaba(), &url);
        let words = match url.contains("secured") {
            true => "secured",
            false => "no_such_database",
        };
        refused_online(&file, words).await;
        let (code, _, error) = told(&file, &["check", "--offline"]).await;
        assert_eq!(code, Some(0), "{error}");
    }
}

#[tokio::test]
async fn a_window_that_was_used_up_is_so_after_a_restart() {
    // No test outlasts the window.
    let quota = Quota {
        calls: 20,
        window: Duration::from_secs(3600),
    };
    let sim = huawei::start(huawei::Config {
        quota: Some(quota),
        ..huawei_config(FleetShape::uniform(2, 5).frozen())
    });
    let sim = sim.await.unwrap();
    let section = Section::huawei(HUA, &sim.url())
        .limit("calls = 20")
        .limit("window_s = 3600");
    let text = gateway::head() + &section.to_toml();
    let file = with_database(&text, "sqlite:mirror.db");
    let live = format!("/v1/providers/{HUA}/jobs");
    let (mut child, _lines, address) = listening(program(&file, &["serve"])).await;
    // The last of these calls is made right before the end.
    while get(address, &live).await.status == 200 {}
    signal(&child, "TERM").await;
    let ended = tokio::time::timeout(wire::PATIENCE, child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    let calls = sim.counters().total_answered();
    let (_child, _lines, address) = listening(program(&file, &["serve"])).await;
    let refused = get(address, &live).await;
    refused.problem(503, "provider_throttled");
    let counters = sim.counters();
    assert_eq!(counters.refused_for(Refusal::Throttled), 0, "{counters:?}");
    // A login counts at no quota.
    assert!(counters.total_answered() <= calls + 1, "{counters:?}");
}

/// Passes connections on to a server.
async fn pass_on(listener: TcpListener, server: String) {
    while let Ok((mut here, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move {
            if let Ok(mut there) = TcpStream::connect(server).await {
                let _ended = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            }
        });
    }
}

/// The state of the mirror in the list of providers.
fn state(providers: &Value) -> &str {
    providers["items"][0]["sync"]["state"].as_str().unwrap()
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let sim = alibaba_sim(FleetShape::uniform(2, 5).frozen()).await;
    // A port of which nobody else may listen, and nobody does yet.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let text = gateway::head() + &Section::alibaba(ALI, &sim.url()).to_toml();
    let file = with_database(&text, &schema.url(Some(&address)));

    let (code, output, error) = told(&file, &["mirror", "status"]).await;
    assert_eq!(code, Some(1), "{output}{error}");
    let (child, mut lines, gateway) = listening(program(&file, &["serve"])).await;
    let reply = get(gateway, "/v1/jobs").await;
    assert!(reply.must("retry-after").parse::<u64>().unwrap() > 0);
    reply.problem(503, "mirror_unavailable");
    // Nothing is read in the background, and live reads need no lease yet.
    assert_eq!(sim.counters().total_calls(), 0);
    let live = format!("/v1/providers/{ALI}/jobs");
    let jobs = get(gateway, &live).await.ok();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 2);
    let providers = get(gateway, "/v1/providers").await.ok();
    assert_eq!(state(&providers), "unavailable", "{providers}");

    let passing = tokio::spawn(pass_on(socket.listen(64).unwrap(), schema.address()));
    mirrored(gateway).await;
    let tasks = get(gateway, "/v1/tasks").await.ok();
    assert_eq!(tasks["total"], 10, "{tasks}");
    let jobs = get(gateway, &live).await.ok();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 2);
    assert_eq!(told(&file, &["mirror", "verify"]).await.0, Some(0));
    signal(&child, "TERM").await;
    let mut logged = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        logged.push_str(&line);
        logged.push('\n');
    }
    assert!(logged.contains("can be used again"), "{logged}");
    let held = "this gateway holds the vendor account of ali now";
    assert!(logged.contains(held), "{logged}");
    passing.abort();
    schema.remove().await;
}

//! `[providers.NAME.fields]`: mistakes of an operator, and what a provider becomes with it.

use ota_core::capability::Support;
use ota_gateway::assembly;
use ota_gateway::config::Config;
use ota_gateway::state::App;

/// Loads a Huawei and an Alibaba provider with these sections behind them.
fn load(fields: &str, environment: &[(&str, &str)]) -> Result<App, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "[auth]\nmode = \"disabled\"\n[mirror]\nenabled = false\n\
         [providers.hua]\nvendor = \"huawei-iot\"\nendpoint = \"http://127.0.0.1:1\"\napp_id = \"a\"\nsecret = \"s\"\n\
         [providers.ali]\nvendor = \"alibaba-iot\"\nregion = \"cn-shanghai\"\naccess_key_id = \"k\"\naccess_key_secret = \"s\"\n{fields}"
    );
    std::fs::write(&file, text).unwrap();
    let environment = environment.iter();
    let environment = environment.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let config = Config::load(Some(&file), environment).map_err(|error| error.to_string())?;
    assembly::app(&config).map_err(|error| error.to_string())
}

#[track_caller]
fn check(fields: &str, expected: &[&str]) {
    let error = load(fields, &[]).map(drop).unwrap_err();
    for part in expected {
        assert!(error.contains(part), "{error:?} has no {part:?}");
    }
}

fn configured(app: &App, name: &str) -> Vec<&'static str> {
    let member = app.fleet().member(name).unwrap();
    let fields = &member.provider().capability().configured_fields;
    fields.iter().map(|field| field.field()).collect()
}

#[test]
fn a_provider_takes_the_places_of_its_section() {
    let app = load(
        "[providers.hua.fields]\npackage_version = \"extendPara.fileVersion\"\ndevice_name = \"extendInfo.name\"",
        &[],
    );
    let app = app.unwrap();
    assert_eq!(configured(&app, "hua"), ["device.name", "package.version"]);
    assert!(configured(&app, "ali").is_empty());
    let member = app.fleet().member("hua").unwrap();
    let filters = member.provider().capability().task_filters;
    assert_eq!(filters.device_name, Support::Here);
    let paths: Vec<_> = member
        .fields()
        .uses()
        .into_iter()
        .map(|one| one.path)
        .collect();
    assert_eq!(paths, ["extendInfo.name", "extendPara.fileVersion"]);
}

#[test]
fn the_environment_sets_a_place() {
    let variable = "OTA_GATEWAY__PROVIDERS__HUA__FIELDS__PACKAGE_VERSION";
    let app = load("", &[(variable, "extendPara.version")]).unwrap();
    assert_eq!(configured(&app, "hua"), ["package.version"]);
    // A path of digits is a text all the same.
    assert!(load("", &[(variable, "1")]).is_ok());
    let error = load("", &[(variable, "a..b")]).map(drop).unwrap_err();
    assert!(error.contains(variable) && error.contains("providers.hua.fields.package_version"));
}

#[test]
fn a_path_that_cannot_be_read_is_named_with_line_and_advice() {
    for (path, said) in [
        ("", "is empty"),
        ("a..b", "a name between two dots"),
        ("a. b", "a blank beside a dot"),
    ] {
        let fields = format!("[providers.hua.fields]\n\npackage_version = \"{path}\"");
        let place = "gateway.toml:17: providers.hua.fields.package_version:";
        check(&fields, &[place, said, "for instance `extension.version`"]);
    }
    check(
        "[providers.hua.fields]\npackage_version = 5",
        &[
            "fields.package_version",
            "is a path, written as a text, not a whole number",
        ],
    );
}

#[test]
fn an_unknown_field_is_named_with_the_nearest_one() {
    check(
        "[providers.hua.fields]\npackage_versoin = \"a\"",
        &[
            "providers.hua.fields.package_versoin",
            "did you mean `package_version`?",
        ],
    );
    check(
        "[providers.hua.fields]\nserial = \"a\"",
        &["known here are package_name, package_version, device_name"],
    );
    check(
        "[providers.hua.field]\npackage_version = \"a\"",
        &["providers.hua.field", "unknown key"],
    );
}

#[test]
fn a_field_that_the_vendor_reports_is_not_configured() {
    check(
        "[providers.ali.fields]\npackage_version = \"a\"",
        &[
            "providers.ali.fields.package_version",
            "`alibaba-iot` reports `package.version` on its own",
        ],
    );
}

#[test]
fn every_mistake_is_named_in_one_run() {
    let fields = "[providers.hua.fields]\npackage_version = \"a.\"\ndevice_name = true\nother = \"x\"\n[providers.ali.fields]\ndevice_name = \"a\"";
    check(
        fields,
        &[
            "hua.fields.package_version",
            "hua.fields.device_name",
            "hua.fields.other",
            "ali.fields.device_name",
        ],
    );
}

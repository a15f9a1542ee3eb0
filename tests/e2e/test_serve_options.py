"""Options of lark serve: where they come from, what is refused, what reaches nginx's configuration."""
import json
import re
import shutil
import socket
import subprocess

import pytest
from serve_host import LARK, clean_environment, lark, refused, short_folder

folder = pytest.fixture(short_folder)


@pytest.fixture
def config(folder):
    def write(text):
        path = folder / "lark.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path
    return write


def printed(*options, **environment):
    """The nginx configuration that these options give."""
    code, out, err = lark("serve", "--print-nginx-config", *options, **environment)
    assert code == 0, err
    return out


def directive(text, name):
    """What stands behind the only directive of that name."""
    found = re.findall(rf"^\s*{name} (.*);$", text, re.M)
    assert len(found) == 1, (name, found)
    return found[0]


# Where a value comes from.

def test_defaults():
    text = printed()
    assert directive(text, "listen") == "127.0.0.1:7380"
    assert "location /api/0/ {" in text and "lark_default_scopes" not in text
    assert directive(text, "access_log") == "off"
    assert int(directive(text, "worker_processes")) >= 1
    assert directive(text, "lark_allowed_hosts") == "localhost 127.0.0.1 [::1]"


def test_flags_over_environment_over_file_over_default(config):
    file = config({"listen": "127.0.0.1:1001", "mount": "/file", "workers": 1})
    from_file = printed("--config", file)
    assert directive(from_file, "listen") == "127.0.0.1:1001" and "location /file/ {" in from_file
    assert directive(from_file, "worker_processes") == "1"
    names = {"LARK_LISTEN": "127.0.0.1:1002", "LARK_MOUNT": "/environment"}
    from_both = printed("--config", file, **names)
    assert directive(from_both, "listen") == "127.0.0.1:1002" and "location /environment/ {" in from_both
    assert directive(from_both, "worker_processes") == "1"
    from_all = printed("--config", file, "--listen", "127.0.0.1:1003", **names)
    assert directive(from_all, "listen") == "127.0.0.1:1003" and "location /environment/ {" in from_all


def test_environment_names_the_config_file(config):
    assert "location /f/ {" in printed(LARK_CONFIG=config({"mount": "/f"}))


@pytest.mark.parametrize("key, value", [("default_scopes", ["admin"]), ("allow_anonymous", True), ("tokens", "t.json"),
                                        ("oauth_issuer", "https://i.example"), ("insecure", True)])
def test_a_file_that_the_environment_names_grants_nothing(config, key, value):
    path = config({key: value})
    assert f"{key}: is not taken from a file that LARK_CONFIG names" in refused("--print-nginx-config", LARK_CONFIG=path)
    assert "is not taken" not in lark("serve", "--print-nginx-config", "--config", path, LARK_CONFIG=path)[2]


def test_an_empty_name_in_the_environment_is_as_if_not_there():
    assert directive(printed(LARK_LISTEN="", LARK_WORKERS=""), "listen") == "127.0.0.1:7380"


def test_null_in_the_file_is_as_if_not_there(config):
    assert directive(printed("--config", config({"listen": None})), "listen") == "127.0.0.1:7380"


@pytest.mark.parametrize("value", ["read:get,key:*", "read:get key:*", " read:get ,  key:* ", ["read:get", "key:*"]])
def test_lists_in_every_spelling(config, value):
    assert directive(printed("--config", config({"default_scopes": value})),
                     "lark_default_scopes") == "read:get key:*"


@pytest.mark.parametrize("name", ["LARK_DEFAULT_SCOPES", "LARK_ALLOW_ANONYMOUS", "LARK_PREFIX", "LARK_SCOPES"])
def test_the_environment_never_sets_scopes(name):
    code, out, err = lark("serve", "--print-nginx-config", **{name: "admin"})
    assert code == 0 and "admin" not in out and "lark_default_scopes" not in out
    if name in ("LARK_DEFAULT_SCOPES", "LARK_ALLOW_ANONYMOUS"):
        assert "is never read from the environment" in err


def test_the_environment_does_not_open_other_addresses():
    code, _, err = lark("serve", "--listen", "0.0.0.0:7380", "--default-scopes", "admin", LARK_ALLOW_ANONYMOUS="1")
    assert code == 1 and "is refused; --allow-anonymous" in err.splitlines()[-1]


def test_a_slip_in_a_name_of_the_environment_is_told():
    _, _, err = lark("serve", "--print-nginx-config", LARK_LISTN="127.0.0.1:1")
    assert err == "lark: LARK_LISTN is ignored: did you mean LARK_LISTEN?\n"


@pytest.mark.parametrize("names, folder", [
    ({"XDG_STATE_HOME": "/tmp/x"}, "/tmp/x/lark"),
    ({"XDG_STATE_HOME": "relative", "HOME": "/tmp/h"}, "/tmp/h/.local/state/lark"),
    ({"XDG_STATE_HOME": None, "HOME": "/tmp/h"}, "/tmp/h/.local/state/lark"),
])
def test_where_the_state_folder_is(names, folder):
    assert directive(printed(**names), "pid") == f'"{folder}/nginx.pid"'


# What is refused: one line, exit code 1.

@pytest.mark.parametrize("options, line", [
    (["--lisen", "x"], "unknown option '--lisen'; did you mean --listen? See lark help serve"),
    (["--allow_hosts", "x"], "unknown option '--allow_hosts'; did you mean --allowed-hosts? See lark help serve"),
    (["--frobnicate"], "unknown option '--frobnicate'; see lark help serve"),
    (["-x"], "unknown option '-x'; see lark help serve"),
    (["x"], "unexpected argument 'x'; see lark help serve"),
    (["--listen"], "--listen needs a value; see lark help serve"),
    (["--allow-anonymous=yes"], "--allow-anonymous takes no value; see lark help serve"),
    (["--workers", "0"], "--workers: expected a whole number from 1 to 512, got '0'"),
    (["--workers", "513"], "--workers: expected a whole number from 1 to 512, got '513'"),
    (["--workers", "1.5"], "--workers: expected a whole number from 1 to 512, got '1.5'"),
    (["--workers", "99999999999"], "--workers: expected a whole number from 1 to 512, got '99999999999'"),
    (["--listen", ""], "--listen: expected a value, got none"),
    (["--default-scopes", "key:*,read:gett"],
     "--default-scopes: unknown scope 'read:gett'; did you mean read:get, read:getbit, read:getset"),
    (["--tls-cert", "/x"], "--tls-cert needs --tls-key too"),
    (["--tls-key", "/x"], "--tls-key needs --tls-cert too"),
    (["--redis-password-file", "/x"], "--redis-password-file needs --redis: the private Redis has no password"),
    (["--redis", "redis://u@h"], "--redis: a user needs a password: in the URL or by --redis-password-file"),
    (["--redis", "redis://h", "--redis-password-file", "/nowhere"],
     "--redis-password-file: /nowhere cannot be read: No such file or directory"),
    (["--config", "/nowhere"], "config file /nowhere cannot be read: No such file or directory"),
    (["--config", "/tmp"], "config file /tmp cannot be read: Is a directory"),
])
def test_refused_options(options, line):
    assert refused(*options) == line


@pytest.mark.parametrize("address", ["7380", "1.2.3.4", ":7380", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3:80",
                                     "1.2.3.4:8x", "::1:7380", "[::1:7380", "[::g]:7380", "example.com:80",
                                     "127.0.0.1:80 default_server", "127.0.0.1:80;", "unix:/tmp/x"])
def test_refused_addresses(address):
    assert re.match(r"--listen: expected .*, got '", refused("--listen", address))


@pytest.mark.parametrize("address, text", [("localhost:80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80"),
                                           ("0.0.0.0:1", "0.0.0.0:1"), ("127.9.9.9:65535", "127.9.9.9:65535")])
def test_good_addresses(address, text):
    assert directive(printed("--listen", address), "listen") == text


@pytest.mark.parametrize("text, line", [
    ('{"listn": "x"}', 'unknown option "listn"; did you mean "listen"?'),
    ('{"zzzzzzzz": "x"}', 'unknown option "zzzzzzzz"; see lark help serve'),
    ('{"state-dir": "x"}', 'unknown option "state-dir"; did you mean "state_dir"?'),
    ('{"workers": "3"}', "workers: expected a whole number, got a string"),
    ('{"workers": 3.5}', "workers: expected a whole number from 1 to 512, got '3.5'"),
    ('{"workers": 1e1}', "workers: expected a whole number from 1 to 512, got '1e1'"),
    ('{"allow_anonymous": 1}', "allow_anonymous: expected true or false, got a number"),
    ('{"default_scopes": ["read:get", 1]}',
     "default_scopes: expected a string or an array of strings, got a number in the array"),
    ('{"default_scopes": [["admin"]]}',
     "default_scopes: expected a string or an array of strings, got an array in the array"),
    ('{"default_scopes": {"admin": true}}',
     "default_scopes: expected a string or an array of strings, got an object"),
    ('{"listen": ["127.0.0.1:1"]}', "listen: expected a string, got an array"),
    ('{"listen": "127.0.0.1:1\\u0000"}', "listen: has a control character in it"),
    ('{"listen\\u0000": "127.0.0.1:1"}', None),
    ('{"check_config": true}', "check_config belongs on the command line, not in a config file"),
    ('{"config": "x"}', "config belongs on the command line, not in a config file"),
    ('[]', "expected an object of options, got an array"),
    ('7', "expected an object of options, got a number"),
    ('', "not valid JSON at line 1, column 1: "),
    ('{"listen":\n "a",}', "not valid JSON at line 2, column "),
    ('{"listen": "a", "listen": "b"}', "not valid JSON at line 1, column "),
    ('{} {}', "not valid JSON at line 1, column "),
])
def test_refused_config_files(config, text, line):
    path = config(text)
    said = refused("--config", path)
    assert said.startswith(f"{path}: {line or 'unknown option'}"), said


def test_a_config_file_that_is_too_large(config):
    assert refused("--config", config(" " * ((1 << 20) + 1))).endswith("cannot be read: File too large")


@pytest.mark.parametrize("address", ["0.0.0.0:7380", "[::]:7380", "192.0.2.1:7380"])
def test_anonymous_scopes_beyond_loopback(address):
    said = refused("--listen", address, "--default-scopes", "read:get")
    assert said == (f"--default-scopes: 'read:get' for everyone who reaches {address}, which is not loopback, is "
                    "refused; --allow-anonymous if that is meant")
    assert "read:get" in printed("--listen", address, "--default-scopes", "read:get", "--allow-anonymous")
    printed("--listen", address)


def test_two_passwords_are_one_too_many(folder):
    (folder / "p").write_text("x\n")
    said = refused("--redis", "redis://:y@h", "--redis-password-file", folder / "p")
    assert said == "--redis-password-file: the URL of --redis has a password too; keep one of them"


@pytest.mark.parametrize("content", ["", "\n", "\nsecret\n"])
def test_an_empty_password_file(folder, content):
    (folder / "p").write_text(content)
    said = refused("--redis", "redis://h", "--redis-password-file", folder / "p")
    assert said == f"--redis-password-file: the first line of {folder / 'p'} is empty"


def test_a_socket_path_that_is_too_long():
    folder = "/tmp/" + "x" * 91
    assert len(f"{folder}/redis.sock") == 107
    printed("--state-dir", folder)
    said = refused("--state-dir", folder + "x")
    assert "would have 108 bytes" in said and "--state-dir" in said
    assert refused("--redis", "unix:///" + "x" * 107).startswith("--redis: ")


# Nothing reaches the configuration that is not what it seems.

INJECTIONS = ["x;} events{", 'a"b', "a'b", "a\\b", "a$b", "a\nb", "a\tb", "a\x7fb", "a{b", "a}b", "a;b", "a#b", "a b",
              "${x}", "a`b", "a|b", "\u00e9"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_slips_in_by_the_mount(text):
    assert refused("--mount", "/" + text).startswith("--mount: ")


@pytest.mark.parametrize("mount", ["", "api", "//", "/a//b", "/.", "/a/..", "/../a", "/a/./b", "/%61", "/a?b", "/a*",
                                   "/" + "a" * 200])
def test_refused_mounts(mount):
    assert refused("--mount", mount).startswith("--mount: expected ")


@pytest.mark.parametrize("mount, location", [("/", "/"), ("/a", "/a/"), ("/a/", "/a/"), ("/.a/..b/~c-d_e", "/.a/..b/~c-d_e/"),
                                             ("/" + "a" * 199, "/" + "a" * 199 + "/")])
def test_good_mounts(mount, location):
    text = printed("--mount", mount)
    assert f"location {location} {{\n            lark main;" in text
    assert text.count("location / {") == 1


@pytest.mark.parametrize("text", [*INJECTIONS[:12], "a:80", "[::1", "[x]", "*", "*.a.b", "http://a", "a" * 254])
def test_nothing_slips_in_by_the_hosts(text):
    assert refused("--allowed-hosts", f"good.example,{text}").startswith("--allowed-hosts: ")


def test_good_hosts():
    text = printed("--allowed-hosts", "Example.COM, a-b_c.d [FE80::1]", "--listen", "192.0.2.7:80")
    assert directive(text, "lark_allowed_hosts") == "localhost 127.0.0.1 [::1] 192.0.2.7 example.com a-b_c.d [fe80::1]"


@pytest.mark.parametrize("text", INJECTIONS[:12])
def test_nothing_slips_in_by_the_scopes(text):
    assert refused("--default-scopes", f"admin,{text}").startswith("--default-scopes: ")


@pytest.mark.parametrize("option", ["--state-dir", "--access-log", "--tls-cert", "--nginx-module"])
@pytest.mark.parametrize("text", ['a"b', "a'b", "a\\b", "a$b", "a\nb", "a\x7fb"])
def test_nothing_slips_in_by_paths(option, text):
    assert refused(option, f"/tmp/{text}", "--print-nginx-config").startswith(f"{option}: ")


@pytest.mark.parametrize("text", ["a;b", "a{b}", "a#b", "a b", "\u00e9", "a|b", "%00", "a?b"])
def test_paths_stand_between_quotes(text):
    out = printed("--state-dir", f"/tmp/{text}", "--access-log", f"/tmp/{text}/log")
    assert directive(out, "pid") == f'"/tmp/{text}/nginx.pid"'
    assert directive(out, "access_log") == f'"/tmp/{text}/log" lark'


def test_the_socket_of_a_strange_folder_is_percent_encoded():
    url = directive(printed("--state-dir", "/tmp/a b;{%41?"), "lark_redis")
    assert url == 'main "unix:///tmp/a%20b%3B%7B%2541%3F/redis.sock"'


def test_relative_paths_begin_where_we_are(folder):
    done = subprocess.run([LARK, "serve", "--print-nginx-config", "--state-dir", "./s", "--access-log", "l"],
                          capture_output=True, text=True, cwd=folder, env=clean_environment(), timeout=20)
    assert directive(done.stdout, "pid") == f'"{folder}/s/nginx.pid"'
    assert directive(done.stdout, "access_log") == f'"{folder}/l" lark'


@pytest.mark.parametrize("url, shown", [
    ("redis://h", "redis://h:6379"),
    ("redis://:s3cr%22et@h:1/2", "redis://h:1/2"),
    ("redis://us%3ber:s3cr%22et@[::1]:1", "redis://us%3Ber@[::1]:1"),
    ("unix:///a%20b?db=3&password=s3cr%22et", "unix:///a%20b?db=3"),
])
def test_no_password_in_the_configuration(url, shown):
    text = printed("--redis", url)
    assert "s3cr" not in text
    secret = ' "password_file=' if "s3cr" in url else ";"
    assert f'lark_redis main "{shown}"{secret}' in text


def test_a_wrong_url_is_told_without_its_password():
    for url in ("redis://:s3cret@h:99999", "redis://u:s3cret@h/x", "redis://u:s3cret@/", "http://u:s3cret@h"):
        assert "s3cret" not in refused("--redis", url)


def test_hosts_of_redis_cannot_carry_directives():
    for url in ("redis://h;x", 'redis://h"x', "redis://h%22", "redis://h{x"):
        assert refused("--redis", url).startswith("--redis: ")


# Programs, folders, addresses: looked at before anything is started.

def test_a_port_in_use(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        said = refused("--listen", address, "--state-dir", folder / "s")
    assert said == f"{address} is in use by another program; choose another address with --listen"


def test_an_address_of_another_machine(folder):
    said = refused("--listen", "192.0.2.1:7380", "--state-dir", folder / "s")
    assert said == "192.0.2.1:7380 cannot be listened on: this machine has no such address"


def test_no_nginx(folder):
    (folder / "bin").mkdir()
    said = refused("--state-dir", folder / "s", PATH=folder / "bin")
    assert said.startswith("there is no nginx in PATH; install it")
    assert refused("--nginx", "/nowhere/nginx").startswith("there is no nginx at /nowhere/nginx; install it")
    assert not (folder / "s").exists()


def test_nginx_is_found_beside_a_bin_in_path(folder):
    assert shutil.which("nginx", path="/usr/sbin"), "Debian's place for nginx"
    code, out, err = lark("serve", "--check-config", "--state-dir", folder / "s", "--redis", "redis://127.0.0.1",
                          PATH="/usr/bin:/bin")
    assert (code, err) == (0, "")


def program(path, script):
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return path


def test_no_redis_server(folder):
    (folder / "bin").mkdir()
    (folder / "bin" / "nginx").symlink_to(shutil.which("nginx", path="/usr/sbin:/usr/bin"))
    said = refused("--state-dir", folder / "s", PATH=folder / "bin")
    assert said.startswith("there is no redis-server in PATH; install it")


def test_a_module_of_another_nginx(folder):
    nginx = program(folder / "nginx", "echo 'nginx version: nginx/1.99.0 (Future)' >&2\n")
    said = refused("--nginx", nginx, "--state-dir", folder / "s")
    built_for = lark("version")[1].split()[-1].rstrip(")")
    assert said == (f"{nginx} is nginx 1.99.0, but Lark's module was built for nginx {built_for}; build Lark anew with "
                    "the nginx-dev of 1.99.0")


def test_what_is_no_nginx(folder):
    nginx = program(folder / "nginx", "echo hello\n")
    assert refused("--nginx", nginx) == f"{nginx} does not tell its version as nginx does"
    nginx = program(folder / "nginx", "exec sleep 60\n")
    assert refused("--nginx", nginx) == f"{nginx} cannot be run: Connection timed out"


def test_no_module(folder):
    said = refused("--nginx-module", "/nowhere/m.so", "--state-dir", folder / "s")
    assert said == ("Lark's nginx module cannot be read at /nowhere/m.so: No such file or directory; name it with "
                    "--nginx-module")


def test_a_module_that_is_none(folder):
    (folder / "m.so").write_text("not a module")
    said = refused("--nginx-module", folder / "m.so", "--state-dir", folder / "s", "--redis", "redis://127.0.0.1",
                   "--check-config")
    assert said.startswith("nginx refuses its configuration: dlopen()")


def test_tls_files_that_cannot_be_read(folder):
    said = refused("--tls-cert", folder / "c", "--tls-key", folder / "k", "--state-dir", folder / "s")
    assert said == f"TLS certificate {folder / 'c'} cannot be read: No such file or directory"
    (folder / "c").write_text("no certificate")
    (folder / "k").write_text("no key")
    said = refused("--tls-cert", folder / "c", "--tls-key", folder / "k", "--state-dir", folder / "s")
    assert said.startswith("nginx refuses its configuration: cannot load certificate")


def test_an_access_log_that_cannot_be_written(folder):
    said = refused("--access-log", folder / "none" / "l", "--state-dir", folder / "s")
    assert said == f"access log {folder / 'none' / 'l'} cannot be written: No such file or directory"


def test_a_state_folder_that_is_none(folder):
    (folder / "file").write_text("")
    assert refused("--state-dir", folder / "file") == f"state folder {folder / 'file'} cannot be used: Not a directory"
    assert refused("--state-dir", folder / "file" / "x").endswith("cannot be used: Not a directory")
    assert refused("--state-dir", "/proc/lark").startswith("state folder /proc/lark cannot be used: ")


def test_root_does_not_work_where_everyone_writes(folder):
    (folder / "s").mkdir()
    (folder / "s").chmod(0o777)
    if (folder / "s").stat().st_uid == 0:
        assert refused("--state-dir", folder / "s").endswith(
            "can be written by everyone on this machine: root does not work in it")


def test_check_config(folder):
    assert lark("serve", "--check-config", "--state-dir", folder / "s") == (0, "lark: the configuration is good\n", "")
    assert not (folder / "s" / "nginx.conf").exists() and not list((folder / "s").glob("*candidate*"))
    assert refused("--check-config", "--workers", "x").startswith("--workers: ")


def test_print_nginx_config_touches_nothing(folder):
    printed("--state-dir", folder / "s")
    assert not (folder / "s").exists()

"""lark_redis._core.Issuer: what is handed in decides, and used wrongly it is an exception at worst. tools/test-python runs this file
under AddressSanitizer, too."""
import random
import threading

import pytest
from lark_redis import _core

WHO = {"issuer": b"https://issuer.example", "audience": b"lark", "scope_claim": b"", "prefix_claim": b"", "any_typ": False, "leeway_s": 30,
       "jwt": True, "opaque": True, "keep_ms": 60000, "require_prefix": False}
KEY = b'{"kty": "OKP", "crv": "Ed25519", "x": "U3l5J6h_e9XUOCLyI17rm_3aZUzwYPzhh0NdSwfEzIA", "kid": "ed"}'
# {"iss": "https://issuer.example", "aud": "lark", "sub": "ann", "iat": 1, "exp": 4102444800, "scope": "read:* no:such"}, by Node.js
TOKEN = (b"eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIiwidHlwIjoiYXQrand0In0."
         b"eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoibGFyayIsInN1YiI6ImFubiIsImlhdCI6MSwiZXhwIjo0MTAyNDQ0ODAwLCJzY29wZSI6InJlYWQ6KiBu"
         b"bzpzdWNoIn0.MCW5Oa3v2qHnLoSGhjBLjRzvxYrkYEfaUn0glWLsT3F1XhPKiYGmLI1ov-lBaUnEhS0NPPg67QwLfqHX5X9ABQ")
NOW, END = 1800000000, 4102444800
AWAY, BAD, UNKNOWN = _core.ISSUER_AWAY, _core.BAD_CREDENTIALS, _core.UNKNOWN_KEY


def issuer(**more):
    made = _core.Issuer(**{**WHO, **more})
    if more.get("jwt", True):
        assert made.set_keys(b'{"keys": [' + KEY + b"]}") == 1
    return made


def find(issuer, token, now_s=NOW, now_ms=0, usable=True):
    return issuer.find(b"Bearer " + token, now_s, now_ms, usable)


@pytest.mark.parametrize("wrong", [
    {"issuer": b""}, {"issuer": b"x" * 1025}, {"audience": b""}, {"leeway_s": 61}, {"issuer": "text"}, {"keep_ms": "x"}])
def test_wrong_use(wrong):
    with pytest.raises((TypeError, ValueError)):
        _core.Issuer(**{**WHO, **wrong})


def test_wrong_calls():
    both, opaque = issuer(), issuer(jwt=False)
    for wrong in (lambda: both.set_keys("x"), lambda: both.find("x", 0, 0, True),
                  lambda: both.answer(b"x", "{}", 0, 0), lambda: both.answer(b"x", b"{}"), lambda: opaque.set_keys(b"{}"),
                  lambda: issuer(opaque=False).answer(b"x", b"{}", 0, 0)):
        with pytest.raises((TypeError, ValueError, RuntimeError, OverflowError)):
            wrong()


def test_jwt():
    made = issuer()
    scopes, name, prefix = find(made, TOKEN)
    assert isinstance(scopes, _core.Scopes) and (name, prefix) == ("ann", b"")
    assert find(made, TOKEN)[1] == "ann" and find(made, TOKEN, now_ms=70000)[1] == "ann"
    assert find(made, TOKEN, END + 30) == (BAD, "the token has expired"), "also one that was good before"
    assert find(made, TOKEN, usable=False)[0] == AWAY, "also one that was good before"
    assert find(made, TOKEN[:-3] + b"AAA")[0] == BAD
    assert find(issuer(audience=b"other"), TOKEN)[0] == find(issuer(issuer=b"https://other.example"), TOKEN)[0] == BAD
    assert find(issuer(prefix_claim=b"tenant"), TOKEN)[0] not in (BAD, AWAY, 0), "403"
    assert len(find(issuer(prefix_claim=b"sub"), TOKEN)[2]) == 52
    assert find(issuer(require_prefix=True), TOKEN)[0] not in (BAD, AWAY, 0), "403"


def test_new_keys_forget_what_was_good_by_others():
    made = issuer()
    assert find(made, TOKEN)[1] == "ann"
    for broken in (b"", b"{}", b'{"keys": []}', b"\xff" * 99, b" " * (65 << 10)):
        with pytest.raises(ValueError):
            made.set_keys(broken)
    assert find(made, TOKEN)[1] == "ann", "the former ones stay"
    made.set_keys(b'{"keys": [' + KEY.replace(b'"ed"', b'"new"') + b"]}")
    assert find(made, TOKEN)[0] == UNKNOWN


def test_opaque():
    made = issuer()
    assert find(made, b"x") == b"x" and made.find(b"Basic dToqeA==", 0, 0, True)[0] == BAD
    assert made.find(b"Basic dTp4", 0, 0, True) == b"x", "the password is the token"
    assert find(made, b"lark_ci_x") == (BAD, "the token is not known"), "ours are nobody else's to tell"
    assert find(issuer(opaque=False), b"x") == (BAD, "the token is not known")
    good = b'{"active": true, "sub": "bob", "scope": "read:get", "exp": %d}' % (NOW + 10)
    assert made.answer(b"x", good, NOW, 1000)[1] == "bob"
    assert find(made, b"x", now_ms=60999)[1] == "bob" and find(made, b"x", now_ms=61000) == b"x"
    assert find(made, b"x", NOW + 40, 2000) == (BAD, "the token has expired")
    assert made.answer(b"y", b'{"active": false}', NOW, 0)[0] == BAD
    assert find(made, b"y", now_ms=4999)[0] == BAD and find(made, b"y", now_ms=5000) == b"y"
    for broken in (b"", b"[]", b"{}", b'{"active": 1}', b'{"active": "true"}', b"\xff", b'{"active": true, "x": "' + b"y" * 66000 + b'"}'):
        assert made.answer(b"z", broken, NOW, 0)[0] == AWAY and find(made, b"z") == b"z", broken[:20]
    kept = issuer(keep_ms=0)
    assert kept.answer(b"x", good, NOW, 1000)[1] == "bob" and find(kept, b"x", now_ms=1000) == b"x"
    assert find(issuer(jwt=False), TOKEN) == TOKEN, "without keys JWTs are asked about, too"


def test_warnings_are_taken_once():
    made = issuer()
    for _ in range(3):
        find(made, TOKEN)
    assert "no:such" in "".join(made.take_warnings()) and made.take_warnings() == ()


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes(seed):
    random_, made = random.Random(seed), issuer()
    for _ in range(400):
        token = bytearray(TOKEN)
        for _ in range(random_.randrange(4)):
            token[random_.randrange(len(token))] = random_.choice(b".=aA0_\x00\xff")
        found = find(made, bytes(token[: random_.randrange(len(token) + 1)]))
        assert isinstance(found, bytes) or len(found) == 2 or found[1] == "ann"
        made.answer(b"x", random_.randbytes(random_.randrange(60)), NOW, 0)
        made.find(random_.randbytes(random_.randrange(9000)), NOW, 0, True)


def test_many_threads():
    made, wrong = issuer(), []

    def work():
        for n in range(300):
            if find(made, TOKEN, now_ms=n * 60001)[1] != "ann":
                wrong.append(n)
            if n % 20 == 0:
                made.set_keys(b'{"keys": [' + KEY + b"]}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong

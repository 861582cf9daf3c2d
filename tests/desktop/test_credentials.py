"""Where tokens go: only to keyrings that proved themselves, to a sealed file, or nowhere, and it is said which."""

import os
import stat
import threading

import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as FailKeyring
from keyring.backends.null import Keyring as NullKeyring
from keyring.errors import PasswordDeleteError

from desktop.credentials import (
    KNOWN_KEYRINGS,
    FileVault,
    KeyringVault,
    MemoryVault,
    NoKeyring,
    NoPassphrase,
    Place,
    WrongPassphrase,
    find_keyring,
    open_vault,
)
from desktop.locks import FileLock, Presence, is_running
from desktop.paths import Folders
from shared.errors import BadInput


class Drawer(KeyringBackend):
    """A keyring that works."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


class Forgetful(Drawer):
    def set_password(self, service, username, password):
        pass


class Hoarder(Drawer):
    def delete_password(self, service, username):
        pass


class Locked(Drawer):
    def get_password(self, service, username):
        raise RuntimeError("org.freedesktop.Secret.Error.IsLocked")


class Chain(Drawer):
    """What `keyring` selects where several are installed."""

    def __init__(self, *backends):
        super().__init__()
        self.backends = list(backends)


@pytest.fixture
def cheap_keys(monkeypatch):
    """For what many keys are made and no secret is kept: a real one takes a quarter second."""
    monkeypatch.setattr(FileVault, "_N", 2)


def known(*kinds: type) -> frozenset[str]:
    return frozenset(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)


def test_a_keyring_is_used_after_it_stored_gave_back_and_deleted():
    drawer = Drawer()
    assert find_keyring(drawer, known=known(Drawer)) is drawer
    assert drawer.kept == {}


@pytest.mark.parametrize("kind", [Forgetful, Hoarder, Locked, FailKeyring, NullKeyring])
def test_a_keyring_that_fails_its_proof_is_not_used(kind):
    assert find_keyring(kind(), known=known(kind)) is None


@pytest.mark.parametrize("kind", [Drawer, NullKeyring])
def test_an_unknown_keyring_is_not_trusted_even_if_it_works(kind):
    assert find_keyring(kind()) is None
    assert not any("alt" in name or "null" in name or "fail" in name for name in KNOWN_KEYRINGS)


def test_of_several_keyrings_the_first_that_proves_itself_is_used():
    good = Drawer()
    assert find_keyring(Chain(Locked(), NullKeyring(), good), known=known(Locked, Drawer)) is good


def test_a_keyring_vault_keeps_replaces_and_forgets():
    vault = KeyringVault(Drawer())
    assert vault.load("chen@s") is None
    vault.save("chen@s", "one")
    vault.save("chen@s", "two")
    assert vault.load("chen@s") == "two"
    vault.delete("chen@s")
    vault.delete("chen@s")
    assert vault.load("chen@s") is None


def test_a_keyring_that_gets_locked_is_said_so():
    with pytest.raises(NoKeyring) as caught:
        KeyringVault(Locked()).load("chen@s")
    assert "KAMENG_CREDENTIALS=file" in caught.value.sentence("zh")


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "backend", "place"),
    [
        pytest.param("", Drawer, Place.KEYRING, id="a keyring"),
        pytest.param("", NullKeyring, Place.MEMORY, id="no keyring"),
        pytest.param("keyring", Drawer, Place.KEYRING, id="keyring demanded"),
        pytest.param("memory", Drawer, Place.MEMORY, id="memory demanded"),
        pytest.param("FILE", Drawer, Place.FILE, id="file demanded"),
    ],
)
def test_the_place_is_chosen_and_told(folders, wanted, backend, place):
    env = {"KAMENG_CREDENTIALS": wanted}
    vault = open_vault(folders, environment=env, backend=backend(), known=known(Drawer))
    assert vault.place is place


@pytest.mark.usefixtures("cheap_keys")
def test_an_existing_file_is_used_where_there_is_no_keyring(folders):
    FileVault(folders.credentials_file, lambda: "pass").save("chen@s", "token")
    assert open_vault(folders, environment={}, backend=NullKeyring(), ask=lambda: "pass").load("chen@s") == "token"


def test_a_demanded_keyring_that_is_missing_is_an_error(folders):
    with pytest.raises(NoKeyring):
        open_vault(folders, environment={"KAMENG_CREDENTIALS": "keyring"}, backend=NullKeyring())
    with pytest.raises(BadInput):
        open_vault(folders, environment={"KAMENG_CREDENTIALS": "plaintext"}, backend=Drawer())


def test_the_file_holds_no_token_and_opens_with_the_passphrase_only(folders):
    file = folders.credentials_file
    FileVault(file, lambda: "correct horse").save("chen@s", "TOKEN-of-chen")
    written = file.read_bytes()
    assert b"TOKEN" not in written
    assert b"chen" not in written
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(WrongPassphrase) as caught:
        FileVault(file, lambda: "wrong horse").load("chen@s")
    assert str(file) in caught.value.sentence("zh")
    assert file.read_bytes() == written
    assert FileVault(file, lambda: "correct horse").load("chen@s") == "TOKEN-of-chen"


@pytest.mark.usefixtures("cheap_keys")
def test_the_file_keeps_several_accounts_and_asks_once(folders):
    asked = []
    vault = FileVault(folders.credentials_file, lambda: asked.append(1) or "pass")
    assert vault.load("chen@s") is None
    vault.save("chen@s", "1")
    vault.save("li@s", "2")
    vault.save("chen@s", "3")
    vault.delete("nobody@s")
    assert (vault.load("chen@s"), vault.load("li@s"), asked) == ("3", "2", [1])
    vault.delete("chen@s")
    assert FileVault(folders.credentials_file, lambda: "pass").load("chen@s") is None
    assert FileVault(folders.credentials_file, lambda: "pass").load("li@s") == "2"
    assert [path.name for path in folders.home.iterdir()] == ["credentials.json"]


@pytest.mark.usefixtures("cheap_keys")
def test_each_write_is_sealed_anew(folders):
    vault = FileVault(folders.credentials_file, lambda: "pass")
    vault.save("chen@s", "1")
    first = folders.credentials_file.read_bytes()
    vault.save("chen@s", "1")
    assert folders.credentials_file.read_bytes() != first


@pytest.mark.parametrize("content", [b"", b"{}", b'{"salt": "x", "nonce": "", "sealed": ""}', b"\xff\xfe", b"[1]"])
def test_a_damaged_file_is_said_so(folders, content):
    folders.credentials_file.write_bytes(content)
    with pytest.raises(WrongPassphrase):
        FileVault(folders.credentials_file, lambda: "pass").load("chen@s")


@pytest.mark.usefixtures("cheap_keys")
def test_a_wrong_passphrase_is_asked_for_again(folders):
    FileVault(folders.credentials_file, lambda: "right").save("chen@s", "token")
    answers = iter(["wrong", "right"])
    vault = FileVault(folders.credentials_file, lambda: next(answers))
    with pytest.raises(WrongPassphrase):
        vault.load("chen@s")
    assert vault.load("chen@s") == "token"


@pytest.mark.parametrize("ask", [None, lambda: ""])
def test_without_anybody_to_ask_the_file_stays_closed(folders, ask):
    vault = open_vault(folders, environment={"KAMENG_CREDENTIALS": "file"}, ask=ask)
    with pytest.raises(NoPassphrase):
        vault.save("chen@s", "token")
    assert not folders.credentials_file.exists()


def test_a_passphrase_may_come_from_a_file(folders):
    (folders.home / "pass").write_text("from a file\n")
    env = {"KAMENG_CREDENTIALS": "file", "KAMENG_PASSPHRASE_FILE": str(folders.home / "pass")}
    open_vault(folders, environment=env).save("chen@s", "token")
    assert FileVault(folders.credentials_file, lambda: "from a file").load("chen@s") == "token"
    env["KAMENG_PASSPHRASE_FILE"] = str(folders.home / "missing")
    with pytest.raises(NoPassphrase):
        open_vault(folders, environment=env).load("chen@s")


def test_memory_forgets_with_the_run():
    vault = MemoryVault()
    vault.save("chen@s", "token")
    assert vault.load("chen@s") == "token"
    vault.delete("chen@s")
    assert vault.load("chen@s") is None
    assert MemoryVault().load("chen@s") is None


# --- locks between programs -----------------------------------------------------------------------------------------


def test_a_lock_is_held_by_one_and_waited_for_by_others(tmp_path):
    first, second = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "a.lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    got = threading.Event()

    def wait_for_it():
        with second:
            got.set()

    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    assert not got.is_set()
    first.release()
    waiting.join(30)
    assert got.is_set()
    with first:
        pass


def test_presence_ends_with_its_program(tmp_path):
    one = Presence(tmp_path, "abc")
    assert not is_running(tmp_path, "abc")
    one.enter()
    assert is_running(tmp_path, "abc")
    one.leave()
    assert not is_running(tmp_path, "abc")
    # A program that was killed leaves its file, but not its lock.
    (tmp_path / "run-dead.lock").touch()
    assert not is_running(tmp_path, "dead")
    assert list(tmp_path.iterdir()) == []

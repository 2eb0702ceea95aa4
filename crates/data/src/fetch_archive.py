"""Gets one file of one package from the index that pip is configured with, and does nothing else with it.

pip itself would run the package's set-up code to learn its metadata, before anybody has looked at what it downloaded.
Arguments: package, file name, where to write it. Python's standard library alone; pip is asked for its settings, and for its own
index where they name none.
"""

import ast
import html.parser
import http.client
import netrc
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

MOST_BYTES = 8 << 30
MOST_PAGE_BYTES = 256 << 20


def ask_pip(*words):
    """What pip answers; nothing where there is no pip."""
    command = [sys.executable, "-I", "-m", "pip", *words]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def settings():
    """What `pip download` would go by: its files, then its variables."""
    found = {}
    sections = {"global": {}, "download": {}, ":env:": {}}
    for line in ask_pip("config", "list").splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in sections:
            try:
                sections[section][name] = str(ast.literal_eval(value))
            except (SyntaxError, ValueError):
                pass
    for key, value in os.environ.items():
        if key.startswith("PIP_"):
            sections[":env:"][key[4:].lower().replace("_", "-")] = value
    for section in sections.values():
        found.update(section)
    return found


def own_index():
    """The index that pip goes to where nothing names one, out of its help; nothing where there is no pip."""
    named = re.search(r"--index-url.*?\(default\s+(\S+?)\)", ask_pip("download", "--help"), re.DOTALL)
    return named and named[1]


class Links(html.parser.HTMLParser):
    """Where the links of a page lead."""

    def __init__(self, address):
        super().__init__()
        self.base, self.found = address, []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "base" and attributes.get("href"):
            self.base = urllib.parse.urljoin(self.base, attributes["href"])
        if tag == "a" and attributes.get("href"):
            self.found.append(urllib.parse.urljoin(self.base, attributes["href"]))


def shown(address):
    """An address without the password in it."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


class Client:
    def __init__(self, config):
        self.timeout = float(config.get("timeout") or config.get("default-timeout") or 15)
        self.trusted = set(config.get("trusted-host", "").split())
        self.checked = ssl.create_default_context(cafile=config.get("cert") or certificates())
        self.proxies = [urllib.request.ProxyHandler({"http": config["proxy"], "https": config["proxy"]})] if config.get("proxy") else []

    def open(self, address):
        parts = urllib.parse.urlsplit(address)
        context = self.checked
        if parts.hostname in self.trusted or parts.netloc.rpartition("@")[2] in self.trusted:
            context = ssl._create_unverified_context()
        headers = {"User-Agent": "homebench", "Accept": "text/html, application/vnd.pypi.simple.v1+html;q=0.9, */*;q=0.1"}
        user, password = parts.username, parts.password
        if user is None and parts.hostname:
            try:
                entry = netrc.netrc().authenticators(parts.hostname)
                user, password = (entry[0], entry[2]) if entry else (None, None)
            except (OSError, netrc.NetrcParseError):
                pass
        request = urllib.request.Request(shown(address), headers=headers)
        if user is not None:
            import base64

            word = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password or '')}".encode()
            # Not sent on to another host that a page leads to.
            request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(word).decode())
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), *self.proxies)
        return opener.open(request, timeout=self.timeout)


def certificates():
    """pip's own list of authorities, where Python knows of none."""
    if ssl.create_default_context().cert_store_stats()["x509_ca"] or ssl.get_default_verify_paths().cafile:
        return None
    try:
        from pip._vendor import certifi

        return certifi.where()
    except ImportError:
        return None


def on_page(client, page, name):
    """Addresses of the file of this name that a page leads to."""
    parts = urllib.parse.urlsplit(page)
    if parts.scheme == "file" and os.path.isdir(urllib.request.url2pathname(parts.path)):
        page = page.rstrip("/") + "/index.html"
    with client.open(page) as answer:
        links = Links(answer.geturl())
        links.feed(answer.read(MOST_PAGE_BYTES).decode("utf-8", "replace"))
    is_it = lambda link: urllib.parse.unquote(urllib.parse.urlsplit(link).path).rsplit("/", 1)[-1] == name
    return [with_user(link, page) for link in links.found if is_it(link)]


def with_user(link, page):
    """A link with the user and password of the page that it is on, where both are of one host."""
    parts, of_page = urllib.parse.urlsplit(link), urllib.parse.urlsplit(page)
    user = of_page.netloc.rpartition("@")[0]
    if user and "@" not in parts.netloc and parts.netloc == of_page.netloc.rpartition("@")[2]:
        return urllib.parse.urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
    return link


def places(config, package):
    """Pages and folders to look at, in order."""
    for place in config.get("find-links", "").split():
        yield place
    if config.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return
    project = re.sub(r"[-_.]+", "-", package).lower()
    indexes = [config.get("index-url") or own_index(), *config.get("extra-index-url", "").split()]
    for index in filter(None, indexes):
        yield f"{index.rstrip('/')}/{project}/"


def get(client, place, name, path):
    """Writes the file if the place has it; whether it had."""
    if "://" not in place:
        local = os.path.join(os.path.expanduser(place), name)
        if not os.path.isfile(local):
            return False
        shutil.copyfile(local, path)
        return True
    links = [place] if place.rsplit("/", 1)[-1] == name else on_page(client, place, name)
    for link in links[:1]:
        with client.open(link) as answer, open(path, "xb") as file:
            left = MOST_BYTES
            while block := answer.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise OSError(f"it has more than {MOST_BYTES >> 30} GiB")
                file.write(block)
            # What a server said that it sends and didn't; a file has no such number.
            if getattr(answer, "length", None):
                raise OSError("the connection ended in the middle of it")
        return True
    return False


def main():
    package, name, path = sys.argv[1:]
    config = settings()
    client = Client(config)
    tried = []
    for place in places(config, package):
        try:
            if get(client, place, name, path):
                return 0
            tried.append(f"{shown(place)} does not have it")
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            tried.append(f"{shown(place)}: {reason}")
            if os.path.exists(path):
                os.remove(path)
    nowhere = "there is no index to ask: pip is told to use none, or is not there to name its own (then set PIP_INDEX_URL)"
    print("; ".join(tried) or nowhere, file=sys.stderr)
    return 1


sys.exit(main())

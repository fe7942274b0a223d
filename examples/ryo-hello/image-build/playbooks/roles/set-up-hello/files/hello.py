"""A small web application: counts visits, keeps the number on disk, and knows its visitors by a signed cookie."""

import hashlib
import hmac
import html
import http.cookies
import http.server
import json
import os
import re
import socket
import sys
import threading


class Visits:
    """A number that outlives the container."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()

    def read(self):
        try:
            with open(self.path, encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return 0

    def add(self):
        with self.lock:
            visits = self.read() + 1
            with open(self.path + ".new", "w", encoding="ascii") as file:
                file.write(f"{visits}\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(self.path + ".new", self.path)
            return visits


def sign(settings, visitor):
    return hmac.new(settings["signing_key"].encode(), str(visitor).encode(), hashlib.sha256).hexdigest()[:32]


class Handler(http.server.BaseHTTPRequestHandler):
    settings = None
    visits = None
    page = None
    server_version = "hello"
    sys_version = ""

    def do_GET(self):
        path = self.path.partition("?")[0]
        path = path.removeprefix("/hello") or "/"
        if path == "/":
            self.answer_page()
        elif path == "/health":
            self.answer("text/plain", "ok\n")
        elif path == "/visits":
            self.answer("text/plain", f"{self.visits.read()}\n")
        elif path == "/internal":
            self.answer("application/json", json.dumps({"version": self.settings["version"]}) + "\n")
        else:
            self.answer("text/plain", "There is nothing here.\n", status=404)

    def answer_page(self):
        visits = self.visits.add()
        visitor = self.known_visitor()
        cookie = None
        if visitor is None:
            visitor = visits
            cookie = f"visitor={visitor}.{sign(self.settings, visitor)}; Path=/; HttpOnly; SameSite=Lax"
        words = {"visits": str(visits), "visitor": str(visitor), "client": self.client()}
        page = re.sub(r"\{\{ (\w+) \}\}", lambda found: html.escape(words[found[1]]), self.page)
        self.answer("text/html; charset=utf-8", page, cookie=cookie)

    def known_visitor(self):
        try:
            morsel = http.cookies.SimpleCookie(self.headers.get("Cookie", "")).get("visitor")
        except http.cookies.CookieError:
            return None
        number, _, signature = (morsel.value if morsel else "").partition(".")
        if re.fullmatch(r"[0-9]{1,18}", number) and hmac.compare_digest(signature.encode(), sign(self.settings, number).encode()):
            return number
        return None

    def client(self):
        peer = self.client_address[0].removeprefix("::ffff:")
        forwarded = self.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return forwarded if forwarded and peer in self.settings["proxies"] else peer

    def answer(self, kind, text, status=200, cookie=None):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        Handler.settings = json.load(file)
    with open(Handler.settings["page"], encoding="utf-8") as file:
        Handler.page = file.read()
    Handler.visits = Visits(os.path.join(Handler.settings["data"], "visits"))
    Server(("::", Handler.settings["port"]), Handler).serve_forever()


if __name__ == "__main__":
    main()

"""What is said about the module is what it does."""
import re
import subprocess
import sys

import conftest
import nginx_host


def test_directives_page(tmp_path):
    made = tmp_path / "page.md"
    subprocess.run([sys.executable, conftest.ROOT / "tools/directives.py", "page", made], check=True)
    page = conftest.ROOT / "docs/nginx-directives.md"
    assert page.read_text() == made.read_text(), "run: tools/directives.py page docs/nginx-directives.md"


def test_documented_configuration(tmp_path):
    """The example of docs/nginx.md, but for its certificate, is taken by nginx."""
    text = (conftest.ROOT / "docs/nginx.md").read_text()
    example = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    secret = tmp_path / "password"
    secret.write_text("secret\n")
    example = example.replace("/etc/lark/redis-password", str(secret)).replace("listen 443 ssl http2", "listen 127.0.0.1:1")
    example = example.replace("modules/ngx_http_lark_module.so", str(nginx_host.MODULE))
    example = re.sub(r"^http \{", "events {}\nhttp {\n    access_log off;\n    client_body_temp_path body;\n"
                     "    proxy_temp_path proxy;\n    fastcgi_temp_path fastcgi;\n    uwsgi_temp_path uwsgi;\n"
                     "    scgi_temp_path scgi;", example, flags=re.M)
    nginx = nginx_host.Nginx("redis://127.0.0.1")
    try:
        (nginx.state / "nginx.conf").write_text(f"pid {nginx.state}/pid;\n{example}")
        taken, said = nginx.check()
        assert taken, said
    finally:
        nginx.stop()

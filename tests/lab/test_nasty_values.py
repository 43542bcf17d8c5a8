"""Values that are legal and awkward arrive as they are: in the process, in the app, through wrk."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from labkit import BENCH_HOSTS, run_playbook, run_script

from collect.model import load_trial

HOST = next(iter(BENCH_HOSTS))
UNIT = "serverbench-gunicorn-wsgi-nasty.service"
# By systemd (specifiers, variables, quotes, comments), by a shell, by Jinja2, by whoever strips.
AWKWARD = {
    "PERCENT": "100% %h %n %% %",
    "DOLLAR": "$HOME ${HOME} $$ $(id) `id`",
    "QUOTES": '"both" \'kinds\' and one " more',
    "BACKSLASH": 'a\\b \\n \\\\ \\" end\\',
    "SPACES": "  before, between   and after  ",
    "TABS": "a\tb",
    "COMMENT": "# no comment ; either",
    "EQUALS": "A=B=C",
    "SHELL": "; | & < > * ? ~ ! ( ) { }",
    "UNICODE": "größe 速度 \N{ROCKET} \u202e e\u0301",
    "EMPTY": "",
    "CONTROL": "\x1b[31m\x07\x7f",
}
OF_THE_FILE = {f"FILE_{name}": value for name, value in AWKWARD.items()} | {
    "FILE_KEY": '-----BEGIN KEY-----\nMIIB "x" $y %z \\\n\n-----END KEY-----\n',
    "FILE_NUMBER": 5,
}
OF_THE_UNIT = {f"UNIT_{name}": value for name, value in AWKWARD.items()}
ARGUMENTS = [f"--env=ARGUMENT_{name}={value}" for name, value in AWKWARD.items()]
PATH = "/echo/a%20b/%25/~user;x=1,2/(d)'$HOME'?q=%22+%00&r=`id`|{}^\\&s=/?:@!*"
HEADERS = {
    "X-All": "".join(map(chr, range(0x21, 0x7F))),
    "X-Inner": "a  b \"c\" 'd' $e %f \\g #h; i",
    "Content-Type": "application/octet-stream",
}
BODY = "".join(map(chr, range(0x80))) + "größe 速度 \N{ROCKET}\r\n\"'$HOME%n\\\x00end\n"

SITE = {
    "requirements.txt": "Django>=5.2,<7\n",
    "nasty/__init__.py": "",
    "nasty/settings.py": """
SECRET_KEY = "of a test"
ROOT_URLCONF = "nasty.urls"
ALLOWED_HOSTS = ["127.0.0.1"]
""",
    "nasty/wsgi.py": """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
    "nasty/check.py": """
import json, os, pathlib
expected = json.loads(pathlib.Path(__file__).with_name("expected.json").read_text())

def wrong_environment(kinds):
    return [
        name for kind in kinds for name, value in expected[kind].items()
        if os.environ.get(name) != str(value)
    ]

if __name__ == "__main__":
    raise SystemExit(" ".join(wrong_environment(["file"])) or 0)
""",
    "nasty/urls.py": """
import json
from django.http import JsonResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from nasty.check import expected, wrong_environment

@csrf_exempt
def echo(request):
    wrong = wrong_environment(["file", "unit"])
    wrong += [n for n, v in expected["headers"].items() if request.headers.get(n) != v]
    if request.body != expected["body"].encode():
        wrong.append("body")
    path, _, query = expected["path"].partition("?")
    if request.META["QUERY_STRING"] != query or request.META["RAW_URI"] != expected["path"]:
        wrong.append("path")
    return JsonResponse({"wrong": wrong}, status=400 if wrong else 200)

urlpatterns = [re_path("^echo/", echo)]
""",
}
EXPECTED = {
    "file": OF_THE_FILE,
    "unit": OF_THE_UNIT,
    "headers": HEADERS,
    "body": BODY,
    "path": PATH,
}


@pytest.fixture(scope="module")
def results(deployed, tmp_path_factory):
    """A short run of a project that compares all it gets with what was meant."""
    folder = tmp_path_factory.mktemp("of the operator's") / "my 'site' (1) $HOME %h"
    for name, content in SITE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "nasty/expected.json").write_text(json.dumps(EXPECTED))
    kept = tmp_path_factory.mktemp("results") / "of 'today' & \"more\""
    variables = {
        "app_source": str(folder),
        "app_settings_module": "nasty.settings",
        "app_wsgi": "nasty.wsgi:application",
        "app_environment": OF_THE_FILE,
        # As the shell of a setup command has them.
        "app_setup_commands": [
            "python -m nasty.check",
            "test \"$FILE_DOLLAR\" = '$HOME ${HOME} $$ $(id) `id`' && test 100% = '100%'",
        ],
        "app_endpoints": [
            {
                "name": "nasty",
                "method": "POST",
                "path": PATH,
                "headers": HEADERS,
                "body": BODY,
                "expect": {"status": 200, "json_exact": {"wrong": []}},
            }
        ],
        "bench_matrix": [
            {
                "server": "gunicorn",
                "interface": "wsgi",
                "label": "nasty",
                "knobs": {"environment": OF_THE_UNIT, "extra_arguments": ARGUMENTS},
            }
        ],
        "bench_endpoints": ["nasty"],
        "service_endpoints": ["nasty"],
        "bench_blocks": 1,
        "bench_load": {
            "threads": 1, "connections": 2, "duration_s": 1, "warmup_s": 0, "timeout_s": 5
        },
        "bench_run_id": "nasty",
        "bench_results_dir": str(kept),
    }  # fmt: skip
    # The next module starts from the layer again.
    run_playbook("bench.yml", deployed, limit=HOST, **variables)
    return kept


@pytest.mark.lab
def test_the_app_and_wrk_agree_on_every_byte(results):
    (path,) = Path(results).glob(f"nasty/{HOST}/trials/*/trial.json")
    trial = load_trial(path)
    assert trial.outcome.status == "ok", trial.outcome
    # The app answers 400 to any request that is not, byte by byte, what was meant.
    assert trial.wrk.requests > 0
    assert trial.wrk.errors.status == 0, trial.wrk


@pytest.mark.lab
@pytest.mark.usefixtures("results")
def test_the_process_has_what_was_meant():
    said = run_script(
        HOST,
        f"""
        systemctl start {UNIT}
        pid=$(systemctl show -P MainPID {UNIT})
        for name in environ cmdline; do base64 -w0 /proc/$pid/$name; echo; done
        systemctl stop {UNIT}""",
    ).splitlines()
    environment, command = (base64.b64decode(line).decode().split("\0") for line in said)
    for name, value in (OF_THE_FILE | OF_THE_UNIT).items():
        assert f"{name}={value}" in environment
    assert [word for word in command if word.startswith("--env=")] == ARGUMENTS

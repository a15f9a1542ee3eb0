#!/usr/bin/env python3
"""Make what data/options.json says: one argument names what, the second is the output file.

    options.py table  the options as a C table (options.inc)
    options.py enum   their names as a C enum (options_enum.h)
    options.py token  the options of `lark token` as a C table (token_options.inc)
    options.py jwks   the options of `lark jwks-refresh` as a C table (jwks_options.inc)
    options.py help   the help texts as C (help.inc)
    options.py man    the man page lark.1
    options.py man5   the man page lark.json.5
    options.py page   docs/options.md
    options.py bash   completion for bash
    options.py zsh    completion for zsh
"""
import json
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = ("text", "path", "list", "flag", "count", "action")
FIELDS = {"key", "option", "env", "type", "metavar", "default", "shown", "min", "max", "help", "in_file"}
NO_ARGUMENT = ("flag", "action")
TOKEN_COMMANDS = ("create", "list", "revoke")


def check(row):
    """One row's faults end the build with its name."""
    def bad(why):
        sys.exit(f"data/options.json: option {row.get('key', row)}: {why}")
    for field in ("key", "option", "type", "help"):
        if not row.get(field):
            bad(f"lacks {field!r}")
    for field in ("env", "default"):
        if field not in row:
            bad(f"lacks {field!r} (null says none)")
    if set(row) - FIELDS:
        bad(f"has unknown fields {sorted(set(row) - FIELDS)}")
    if row["type"] not in TYPES:
        bad(f"has the unknown type {row['type']!r}; expected one of {', '.join(TYPES)}")
    if not re.fullmatch(r"[a-z]+(_[a-z]+)*", row["key"]) or row["option"] != row["key"].replace("_", "-"):
        bad("key and option must be the same words, joined by _ and -")
    if row["env"] is not None and row["env"] != "LARK_" + row["key"].upper():
        bad(f"its environment name must be LARK_{row['key'].upper()}")
    if row["type"] == "action" and row["env"]:
        bad("an action is read from the command line only")
    if ("metavar" in row) == (row["type"] in NO_ARGUMENT):
        bad("flags and actions have no metavar, all others have one")
    if row["default"] is None and "shown" not in row:
        bad("a default of null needs 'shown'")
    if row["type"] == "count" and not 0 <= row.get("min", -1) <= row.get("max", -1):
        bad("a count needs min and max")
    if any(word in row["key"] for word in ("scopes", "anonymous", "prefix", "token", "insecure")) and row["env"] is not None:
        bad("what callers may do is never chosen by the environment")


def load():
    data = json.loads((ROOT / "data/options.json").read_text())
    seen = set()
    for row in data["options"]:
        check(row)
        if row["key"] in seen:
            sys.exit(f"data/options.json: option {row['key']}: is there twice")
        seen.add(row["key"])
    for row in data["token_options"]:
        if set(row) - {"metavar"} != {"option", "commands", "help"} or not set(row["commands"]) <= set(TOKEN_COMMANDS):
            sys.exit(f"data/options.json: token option {row.get('option', row)}: needs option, commands, help, perhaps metavar")
    for row in data["jwks_options"]:
        if set(row) - {"metavar"} != {"option", "help"}:
            sys.exit(f"data/options.json: jwks option {row.get('option', row)}: needs option, help, perhaps metavar")
    return data


def c_string(text):
    return "NULL" if text is None else json.dumps(text, ensure_ascii=True)


def c_lines(text):
    """A text as an array of its lines: C compilers need not take literals of over 4095 bytes."""
    lines = (json.dumps(line + "\n", ensure_ascii=True) for line in text.split("\n"))
    return "(const char *const[]){\n" + "".join(f"    {line},\n" for line in lines) + "    NULL}"


def make_enum(data):
    names = [f"    LARK_OPTION_{row['key'].upper()}," for row in data["options"]]
    return "\n".join(["/* options_enum.h - made from data/options.json; do not edit. */", "#ifndef LARK_OPTIONS_ENUM_H",
                      "#define LARK_OPTIONS_ENUM_H", "", "enum lark_option {", *names, "    LARK_N_OPTIONS", "};", "",
                      "#endif", ""])


def make_table(data):
    out = ["/* Made from data/options.json; do not edit. */",
           "static const struct lark_option_row option_rows[LARK_N_OPTIONS] = {"]
    for row in data["options"]:
        in_file = row.get("in_file", row["type"] != "action")
        out.append(f"    {{{c_string(row['key'])}, {c_string(row['option'])}, {c_string(row['env'])}, "
                   f"{c_string(row['default'])}, LARK_OPTION_IS_{row['type'].upper()}, "
                   f"{row.get('min', 0)}, {row.get('max', 0)}, {str(in_file).lower()}}},")
    out += ["};", ""]
    return "\n".join(out)


def make_token(data):
    names = [f"    TOKEN_OPTION_{row['option'].upper().replace('-', '_')}," for row in data["token_options"]]
    out = ["/* Made from data/options.json; do not edit. */", "enum token_option {", *names, "    N_TOKEN_OPTIONS", "};", "",
           "static const struct token_option_row token_option_rows[N_TOKEN_OPTIONS] = {"]
    for row in data["token_options"]:
        allowed = ", ".join(str(command in row["commands"]).lower() for command in TOKEN_COMMANDS)
        out.append(f"    {{{c_string(row['option'])}, {str('metavar' in row).lower()}, {{{allowed}}}}},")
    return "\n".join([*out, "};", ""])


def make_jwks(data):
    names = [f"    JWKS_OPTION_{row['option'].upper().replace('-', '_')}," for row in data["jwks_options"]]
    rows = [f"    {{{c_string(row['option'])}, {str('metavar' in row).lower()}}}," for row in data["jwks_options"]]
    return "\n".join(["/* Made from data/options.json; do not edit. */", "enum jwks_option {", *names, "    N_JWKS_OPTIONS",
                      "};", "", "static const struct jwks_option_row jwks_option_rows[N_JWKS_OPTIONS] = {", *rows, "};", ""])


def shown_default(row):
    if row["type"] in NO_ARGUMENT:
        return None
    return row.get("shown", row["default"])


def flag_words(row):
    return f"--{row['option']}" + (f" {row['metavar']}" if "metavar" in row else "")


def help_overview(data):
    width = max(len(c["usage"]) for c in data["commands"])
    lines = ["Lark: an HTTP door to Redis.", ""]
    lines += [f"  {c['usage']:{width}}  {c['summary']}" for c in data["commands"]]
    lines += ["", "lark help COMMAND explains a command, for example: lark help serve"]
    return "\n".join(lines)


def help_serve(data):
    lines = []
    for row in data["options"]:
        lines.append(f"  {flag_words(row)}")
        text = row["help"]
        if shown_default(row) is not None:
            text += f" Default: {shown_default(row)}."
        lines += textwrap.wrap(text, 92, initial_indent="        ", subsequent_indent="        ",
                               break_on_hyphens=False)
    lines += ["", "Each option may also stand in the environment (--listen: LARK_LISTEN) or in the config file",
              "(--state-dir: \"state_dir\"). The command line wins over the environment, that over the file.",
              "Not in the environment: " + ", ".join(
                  f"--{r['option']}" for r in data["options"] if r["env"] is None and r["type"] != "action") + "."]
    return lines


def help_token(data):
    lines = []
    for row in data["token_options"]:
        lines.append(f"  {flag_words(row)}" + ("" if len(row["commands"]) == len(TOKEN_COMMANDS)
                                               else f"  ({', '.join(row['commands'])})"))
        lines += textwrap.wrap(row["help"], 92, initial_indent="        ", subsequent_indent="        ", break_on_hyphens=False)
    return lines


def help_jwks(data):
    lines = []
    for row in data["jwks_options"]:
        lines.append(f"  {flag_words(row)}")
        lines += textwrap.wrap(row["help"], 92, initial_indent="        ", subsequent_indent="        ", break_on_hyphens=False)
    return lines


def help_command(data, command):
    lines = [f"Usage: {command['usage']}", "", command["summary"][0].upper() + command["summary"][1:] + "."]
    for paragraph in command["text"]:
        lines += [""] + textwrap.wrap(paragraph, 100, break_on_hyphens=False)
    if command["name"] == "serve":
        lines += ["", "Options:"] + help_serve(data)
    if command["name"] == "token":
        lines += ["", "Options:"] + help_token(data)
    if command["name"] == "jwks-refresh":
        lines += ["", "Options:"] + help_jwks(data)
    return "\n".join(lines)


def make_help(data):
    out = ["/* Made from data/options.json; do not edit. */",
           "static const struct lark_help help_texts[] = {", "    {\"\",", c_lines(help_overview(data)) + "},"]
    for command in data["commands"]:
        out += [f"    {{{c_string(command['name'])},", c_lines(help_command(data, command)) + "},"]
    out += ["};", ""]
    return "\n".join(out)


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def make_man(data):
    out = ['.\\" Made from data/options.json; do not edit.', '.TH LARK 1 "" "lark" "User Commands"', ".SH NAME",
           "lark \\- an HTTP door to Redis", ".SH SYNOPSIS"]
    for command in data["commands"]:
        out += [".B " + roff(command["usage"]), ".br"]
    out.append(".SH COMMANDS")
    for command in data["commands"]:
        out += [".SS " + command["name"], roff(command["summary"][0].upper() + command["summary"][1:] + ".")]
        for paragraph in command["text"]:
            out += [".PP", roff(paragraph)]
    out.append(".SH OPTIONS OF LARK SERVE")
    for row in data["options"]:
        out += [".TP", ".B " + roff(flag_words(row)), roff(row["help"])]
        if shown_default(row) is not None:
            out.append(roff(f"Default: {shown_default(row)}."))
        if row["env"]:
            out.append(roff(f"Environment: {row['env']}."))
        if row.get("in_file", row["type"] != "action"):
            out.append(roff(f"Config file: \"{row['key']}\"."))
    out.append(".SH OPTIONS OF LARK TOKEN")
    for row in data["token_options"]:
        out += [".TP", ".B " + roff(flag_words(row)), roff(row["help"])]
    out.append(".SH OPTIONS OF LARK JWKS-REFRESH")
    for row in data["jwks_options"]:
        out += [".TP", ".B " + roff(flag_words(row)), roff(row["help"])]
    out += [".SH ENVIRONMENT",
            roff("Options may stand in the environment by the names above. The command line wins over the environment,"
                 " the environment over the config file."), ".SH FILES", "In the state folder:"]
    for row in data["files"]:
        out += [".TP", ".I " + roff(row["name"]), roff(row["text"][0].upper() + row["text"][1:] + ".")]
    out += [".SH EXIT STATUS", "0 when all went well, 1 after any error; one line on standard error says which.", ".SH SEE ALSO", ".BR lark.json (5)", ""]
    return "\n".join(out)


FILE_TYPES = {"flag": "true or false", "count": "a whole number", "list": "a list of strings, or one with words between commas or blanks",
              "path": "a string, a path", "text": "a string"}


def make_man_file(data):
    out = ['.\\" Made from data/options.json; do not edit.', '.TH LARK.JSON 5 "" "lark" "File Formats"', ".SH NAME",
           "lark.json \\- settings of lark serve", ".SH SYNOPSIS", ".B lark serve \\-\\-config lark.json", ".SH DESCRIPTION",
           roff("One JSON object; its members are options of lark serve, with underscores for hyphens. A member that is null is as if not"
                " there, one that is unknown is an error. The command line and the environment win over the file. SIGHUP has it read again."),
           ".SH EXAMPLE", ".nf", roff('{"listen": "127.0.0.1:7380", "tokens": "/etc/lark/tokens.json", "workers": 2}'), ".fi", ".SH MEMBERS"]
    for row in data["options"]:
        if row.get("in_file", row["type"] != "action"):
            bounds = f" from {row['min']} to {row['max']}" if row["type"] == "count" else ""
            out += [".TP", ".B " + roff(row["key"]), roff(f"{FILE_TYPES[row['type']][0].upper()}{FILE_TYPES[row['type']][1:]}{bounds}. {row['help']}")]
            if shown_default(row) is not None:
                out.append(roff(f"Default: {shown_default(row)}."))
    return "\n".join([*out, ".SH SEE ALSO", ".BR lark (1)", ""])


def make_page(data):
    out = ["# The program lark", "", "<!-- Made by tools/reference.py from data/options.json; do not edit. -->", "",
           "| command | |", "|---|---|"]
    out += [f"| `{c['usage']}` | {c['summary']} |" for c in data["commands"]]
    serve = next(c for c in data["commands"] if c["name"] == "serve")
    out += ["", "## lark serve", ""]
    for paragraph in serve["text"]:
        out += [paragraph, ""]
    out += ["An option stands on the command line, in the environment, or in the JSON file that `--config` names; the first of these",
            "wins. As for scopes: what callers may do is never read from the environment, nor from", "a file that `LARK_CONFIG` names.", "",
            "| option | default | environment | file |", "|---|---|---|---|"]
    for row in data["options"]:
        in_file = row.get("in_file", row["type"] != "action")
        default = shown_default(row) or ""
        out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in (
            f"`{flag_words(row)}`", f"`{default}`" if default and default == row["default"] else default,
            f"`{row['env']}`" if row["env"] else "", f"`{row['key']}`" if in_file else "")) + " |")
    out.append("")
    for row in data["options"]:
        out += [f"`{flag_words(row)}`: {row['help']}", ""]
    token = next(c for c in data["commands"] if c["name"] == "token")
    out += ["## lark token", ""]
    for paragraph in token["text"]:
        out += [paragraph, ""]
    out += ["| option | of | |", "|---|---|---|"]
    out += [f"| `{flag_words(row)}` | {', '.join(row['commands'])} | {row['help'].replace('|', chr(92) + '|')} |"
            for row in data["token_options"]]
    jwks = next(c for c in data["commands"] if c["name"] == "jwks-refresh")
    out += ["", "## lark jwks-refresh", ""]
    for paragraph in jwks["text"]:
        out += [paragraph, ""]
    out += ["| option | |", "|---|---|"]
    out += [f"| `{flag_words(row)}` | {row['help']} |" for row in data["jwks_options"]]
    out += ["", "## The state folder", "", "| file | |", "|---|---|"]
    out += [f"| {row['name']} | {row['text']} |" for row in data["files"]]
    return "\n".join(out) + "\n"


COMMAND_FLAGS = {"methods": ["--json", "--help"], "openapi": ["--help"], "version": ["--help"]}


def make_bash(data):
    serve = sorted(f"--{row['option']}" for row in data["options"])
    files = "|".join(f"--{row['option']}" for row in data["options"] if row["type"] == "path" and row["metavar"] != "DIR")
    folders = "|".join(f"--{row['option']}" for row in data["options"] if row.get("metavar") == "DIR")
    words = "|".join(f"--{row['option']}" for row in data["options"]
                     if row["type"] not in (*NO_ARGUMENT, "path"))
    names = [c["name"] for c in data["commands"]]
    token = [f"--{row['option']}" for row in data["token_options"]]
    token_files = "|".join(f"--{row['option']}" for row in data["token_options"] if row.get("metavar") == "FILE")
    token_words = "|".join(f"--{row['option']}" for row in data["token_options"] if row.get("metavar") not in (None, "FILE", "DIR"))
    jwks = [f"--{row['option']}" for row in data["jwks_options"]]
    cases = "".join(f"    {name}) words='{' '.join(flags)}' ;;\n" for name, flags in COMMAND_FLAGS.items())
    return f"""# Completion of lark for bash. Made from data/options.json; do not edit.
_lark() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W '{' '.join(names)}' -- "$word")
        return
    fi
    case ${{COMP_WORDS[1]}} in
    serve)
        case $before in
        {files})
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        {folders})
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
            ;;
        {words}) return ;;
        esac
        words='{' '.join(serve)}'
        ;;
    help) words='{' '.join(names)}' ;;
    token)
        case $before in
        {token_files})
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --state-dir)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
            ;;
        {token_words}) return ;;
        esac
        words='{' '.join(TOKEN_COMMANDS)} {' '.join(token)}'
        ((COMP_CWORD == 2)) && words='{' '.join(TOKEN_COMMANDS)}'
        ;;
    jwks-refresh)
        case $before in
        --out | --ca)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        {'|'.join(f"--{row['option']}" for row in data["jwks_options"] if row.get("metavar") not in (None, "FILE"))}) return ;;
        esac
        words='{' '.join(jwks)}'
        ;;
{cases}    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -F _lark lark
"""


def zsh_text(text):
    text = text.split(". ")[0].rstrip(".")
    for mark in "\\[]:":
        text = text.replace(mark, "\\" + mark)
    return text.replace("'", "'\\''")


def make_zsh(data):
    actions = {"DIR": ":folder:_files -/"}
    lines = []
    for row in data["options"]:
        takes = "" if row["type"] in NO_ARGUMENT else actions.get(
            row["metavar"], ":file:_files" if row["type"] == "path" else f":{zsh_text(row['metavar'])}:")
        lines.append(f"            '--{row['option']}{'=' if takes else ''}[{zsh_text(row['help'])}]{takes}'")
    names = "".join(f"            '{c['name']}:{zsh_text(c['summary'])}'\n" for c in data["commands"])
    token_actions = {"FILE": ":file:_files", "DIR": ":folder:_files -/"}
    token = " \\\n".join(
        f"            '--{row['option']}{'=' if 'metavar' in row else ''}[{zsh_text(row['help'])}]"
        f"{token_actions.get(row['metavar'], ':' + zsh_text(row['metavar']) + ':') if 'metavar' in row else ''}'"
        for row in data["token_options"])
    jwks = " \\\n".join(
        f"            '--{row['option']}{'=' if 'metavar' in row else ''}[{zsh_text(row['help'])}]"
        f"{token_actions.get(row['metavar'], ':' + zsh_text(row['metavar']) + ':') if 'metavar' in row else ''}'"
        for row in data["jwks_options"])
    serve = " \\\n".join(lines)
    return f"""#compdef lark
# Completion of lark for zsh. Made from data/options.json; do not edit.
_lark() {{
    local -a commands
    if ((CURRENT == 2)); then
        commands=(
{names}        )
        _describe command commands
        return
    fi
    case $words[2] in
    serve)
        _arguments \\
{serve}
        ;;
    token)
        if ((CURRENT == 3)); then
            compadd {' '.join(TOKEN_COMMANDS)}
            return
        fi
        _arguments \\
{token}
        ;;
    jwks-refresh)
        _arguments \\
{jwks}
        ;;
    methods) _arguments '--json[print the catalogue as JSON]' ;;
    help) ((CURRENT == 3)) && compadd {' '.join(c['name'] for c in data['commands'])} ;;
    esac
}}
_lark "$@"
"""


MAKERS = {"page": make_page, "bash": make_bash, "zsh": make_zsh, "table": make_table, "token": make_token, "jwks": make_jwks,
          "enum": make_enum, "help": make_help, "man": make_man, "man5": make_man_file}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(MAKERS[sys.argv[1]](load()))

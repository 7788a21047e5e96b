/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/path.h"

static const char usage[] =
    "Usage: acpd [OPTION]... [COMMAND]\n"
    "Distributes work to profiles of AI agents and programs, and loses none of it.\n"
    "\n"
    "  --config FILE     the configuration (default: ~/.config/acpd/config.json, for root\n"
    "                    /etc/acpd/config.json; without a file, three profiles run the demo\n"
    "                    agent)\n"
    "  --socket PATH     where to listen (default: $XDG_RUNTIME_DIR/acpd.sock,\n"
    "                    for root /run/acpd/acpd.sock); a socket passed by systemd takes\n"
    "                    precedence\n"
    "  --state-dir DIR   the database and the logs (default: ~/.local/state/acpd,\n"
    "                    for root /var/lib/acpd)\n"
    "  --check           check the configuration and the database, and exit\n"
    "  --log-level L     error, warning, info (default) or debug\n"
    "  --version         print the version and exit\n"
    "  --help            print this and exit\n"
    "\n"
    "Commands:\n"
    "  backup FILE       copy the database to a new file; acpd may be running\n"
    "  recover FILE      save what is readable of a damaged database to a new file\n"
    "  restore FILE      replace the database with a copy of a backup; acpd must not be\n"
    "                    running; the old database is kept as acpd.db.replaced-TIME\n"
    "  migrate --from STORE --to STORE\n"
    "                    copy everything from a store of one kind to an empty one of the other:\n"
    "                    sqlite:DIR, a state directory, or postgres:URL; no acpd may use them\n";

void options_deinit(struct options *options)
{
    free(options->config);
    free(options->socket);
    free(options->state_dir);
    free(options->from);
    free(options->to);
}

PRINTF_LIKE(1, 2) static _Noreturn void options_refuse(const char *format, ...)
{
    va_list arguments;

    fputs("acpd: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static void options_set(char **option, const char *name)
{
    if (!optarg || !*optarg)
        options_refuse("--%s must not be empty", name);
    free(*option);
    *option = xstrdup(optarg);
}

static void options_make_absolute(char **path)
{
    CLEANUP(freep) char *folder = getcwd(NULL, 0), *relative = *path;

    *path = xasprintf("%s/%s", folder ? folder : ".", relative);
}

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"socket", required_argument, NULL, 's'},
    {"state-dir", required_argument, NULL, 'd'},
    {"check", no_argument, NULL, 'k'},
    {"log-level", required_argument, NULL, 'l'},
    {"from", required_argument, NULL, 'f'},
    {"to", required_argument, NULL, 't'},
    {"version", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

void options_parse(int argc, char **argv, struct options *options)
{
    enum log_level level = LOG_LEVEL_INFO;
    int c, at;

    while ((c = getopt_long(argc, argv, "", long_options, &at)) != -1) {
        switch (c) {
        case 'c':
            options_set(&options->config, long_options[at].name);
            break;
        case 's':
            options_set(&options->socket, long_options[at].name);
            break;
        case 'd':
            options_set(&options->state_dir, long_options[at].name);
            break;
        case 'k':
            options->check = true;
            break;
        case 'l':
            if (log_level_parse(optarg, &level) < 0)
                options_refuse("--log-level must be error, warning, info or debug");
            break;
        case 'f':
            options_set(&options->from, long_options[at].name);
            break;
        case 't':
            options_set(&options->to, long_options[at].name);
            break;
        case 'v':
            puts("acpd " ACPD_VERSION);
            exit(EXIT_SUCCESS);
        case 'h':
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        default:
            fputs("Try 'acpd --help'.\n", stderr);
            exit(EXIT_FAILURE);
        }
    }
    options->command = optind < argc ? argv[optind++] : NULL;
    options->file = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        options_refuse("unexpected argument '%s'", argv[optind]);
    if (options->check && options->command)
        options_refuse("--check cannot be combined with a command");
    if ((options->from || options->to) &&
        (!options->command || strcmp(options->command, "migrate") != 0))
        options_refuse("--from and --to are only valid with migrate");
    log_setup("acpd", level);
    options->socket_is_default = !options->socket;
    if (!options->socket)
        options->socket = path_default_socket();
    else if (options->socket[0] != '/')
        options_make_absolute(&options->socket); /* children may run in another folder */
    if (!options->state_dir)
        options->state_dir = path_default_state();
    options->config_is_default = !options->config;
    if (!options->config)
        options->config = path_default_config();
}

const char *options_config_path(const struct options *options)
{
    if (options->config_is_default && access(options->config, F_OK) < 0 && errno == ENOENT)
        return NULL;
    return options->config;
}

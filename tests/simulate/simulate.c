/* SPDX-License-Identifier: MIT */
/*
 * Runs acpd in simulated worlds, each decided by its seed and in a process of its own. A world that
 * ends badly is made smaller and printed as a plan, which --replay plays again.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/macros.h"
#ifdef HAS_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#include "daemon.h"
#include "disk.h"
#include "faults.h"
#include "scene.h"
#include "world.h"

#ifdef HAS_ASAN
#define FAULT_S 180
#else
#define FAULT_S 60 /* of one processor's time, in which each fault must be found */
#endif
#define COVER_WORLDS 100 /* in which each declared parameter must be taken */
#define SHRINK_S     120 /* for making a world smaller */
#define WORLD_S      60  /* of processor time that a world may take */

#define BLOCKED_S 3600 /* of real time: a world that is blocked does not use the processor */

#define JOBS_MAX    256
#define MINUTES_MAX 1000000
/* Between the seeds of two seconds, and of two jobs: no two of them play the same world. */
#define SECOND_SEEDS (UINT64_C(1) << 20)
#define JOB_SEEDS    (UINT64_C(1) << 54)

static struct scene_sums *sums; /* shared with the worlds' processes */
static size_t fault;
static time_t deadline;
static volatile sig_atomic_t is_interrupted;

/* With AddressSanitizer. */
static void simulate_expect_no_leak(void)
{
#ifdef HAS_ASAN
    EXPECT(!__lsan_do_recoverable_leak_check());
#endif
}

/* The status of the world's process. */
static int simulate_play(const struct plan *plan, bool is_quiet)
{
    int status;
    pid_t child;

    sums->place[0] = '\0';
    fflush(stdout);
    if (!daemon_begin() || (child = fork()) < 0) {
        perror("cannot begin a world");
        exit(EXIT_FAILURE);
    }
    if (child == 0) {
        signal(SIGINT, SIG_IGN); /* the world ends, then the simulation */
        alarm(BLOCKED_S);
        setrlimit(RLIMIT_CPU, &(struct rlimit){.rlim_cur = WORLD_S, .rlim_max = WORLD_S});
        faults_put_in(fault);
        if (chdir("/")) /* acpd tells its agents where it is */
            _exit(EXIT_FAILURE);
        if (is_quiet && !freopen("/dev/null", "w", stderr))
            _exit(EXIT_FAILURE);
        scene_play(plan, sums);
        simulate_expect_no_leak();
        fflush(stdout);
        _exit(EXIT_SUCCESS);
    }
    while (waitpid(child, &status, 0) < 0)
        ;
    daemon_end();
    return status;
}

/* --- worlds that end badly ----------------------------------------------------------------------
 */

static char place[sizeof(((struct scene_sums *)NULL)->place)]; /* of the failure to keep */

static bool simulate_fails_alike(const struct plan *plan)
{
    return simulate_play(plan, true) && strcmp(sums->place, place) == 0;
}

static bool simulate_has_time(void)
{
    return time(NULL) < deadline && !is_interrupted;
}

static void simulate_report(struct plan *plan)
{
    memcpy(place, sums->place, sizeof(place));
    printf("seed %llu ends badly at %s; making its world smaller\n", (unsigned long long)plan->seed,
           place[0] ? place : "a signal or a sanitizer");
    fflush(stdout);
    for (size_t i = sums->step + 1; i < PLAN_STEPS; i++)
        plan->has_step[i] = false;
    deadline = time(NULL) + SHRINK_S;
    plan_shrink(plan, simulate_fails_alike, simulate_has_time);
    printf("# %s; keep this as tests/simulate/found/WHAT.plan, and play it with --replay FILE\n",
           place[0] ? place : "a signal or a sanitizer");
    plan_print(plan, stdout);
    simulate_play(plan, false);
    printf("# trace %016llx\n", (unsigned long long)sums->trace);
}

/* --- what can be asked for ----------------------------------------------------------------------
 */

static int simulate_replay(const char *path)
{
    struct plan plan;

    if (!plan_read(path, &plan))
        return EXIT_FAILURE;
    if (simulate_play(&plan, false)) {
        printf("%s: its world ends badly at %s; trace %016llx\n", path,
               sums->place[0] ? sums->place : "a signal or a sanitizer",
               (unsigned long long)sums->trace);
        return EXIT_FAILURE;
    }
    printf("%s: nothing found; trace %016llx\n", path, (unsigned long long)sums->trace);
    return EXIT_SUCCESS;
}

/* Processor time of all worlds, in seconds. */
static long simulate_used(void)
{
    struct rusage used;

    getrusage(RUSAGE_CHILDREN, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec;
}

/* Returns the number of worlds that it took, or 0. */
static uint64_t simulate_find_fault(uint64_t seed)
{
    struct plan plan;
    long end = simulate_used() + FAULT_S;

    for (uint64_t worlds = 1; simulate_used() < end && !is_interrupted; worlds++) {
        size_t put_in = fault;
        bool is_found;

        plan_init(&plan, seed + worlds - 1);
        is_found = simulate_play(&plan, true) && sums->place[0];
        fault = 0;
        if (is_found && simulate_play(&plan, true)) {
            printf("seed %llu ends badly without a fault, too\n", (unsigned long long)plan.seed);
            exit(EXIT_FAILURE);
        }
        fault = put_in;
        if (is_found)
            return worlds;
    }
    return 0;
}

/* Whether the fault that was put in is found, and when. */
static bool simulate_seek(uint64_t seed)
{
    long began = simulate_used();
    uint64_t worlds = simulate_find_fault(seed);

    printf("%-48s ", faults_name(fault));
    if (worlds)
        printf("found in world %llu, seed %llu, in %ld s\n", (unsigned long long)worlds,
               (unsigned long long)(seed + worlds - 1), simulate_used() - began);
    else
        printf("%s after %ld s\n", is_interrupted ? "interrupted" : "not found",
               simulate_used() - began);
    fflush(stdout);
    return worlds;
}

/* Whether each declared parameter of each method is sent in some world, and taken. */
static bool simulate_covers(uint64_t seed)
{
    struct plan plan;
    uint64_t worlds = 0;
    size_t missing;

    memset(&sums->cover, 0, sizeof(sums->cover));
    while (worlds < COVER_WORLDS && cover_missing(&sums->cover, true) && !is_interrupted) {
        plan_init(&plan, seed + worlds++);
        simulate_play(&plan, true);
    }
    missing = cover_missing(&sums->cover, false);
    printf("%-48s %zu are missing in %llu worlds\n", "declared parameters", missing,
           (unsigned long long)worlds);
    return !missing;
}

static int simulate_test_itself(uint64_t seed)
{
    bool has_missed = false;

    printf("seed %llu\n", (unsigned long long)seed);
    if (fault)
        return simulate_seek(seed) ? EXIT_SUCCESS : EXIT_FAILURE;
    has_missed = !simulate_covers(seed);
    for (fault = 1; faults_name(fault) && !is_interrupted; fault++)
        has_missed |= !simulate_seek(seed);
    return has_missed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int simulate_worlds(uint64_t seed, double minutes)
{
    time_t end = time(NULL) + (time_t)(minutes * 60);
    struct plan plan;

    do {
        plan_init(&plan, seed + sums->worlds);
        if (simulate_play(&plan, true)) {
            simulate_report(&plan);
            return EXIT_FAILURE;
        }
    } while (time(NULL) < end && !is_interrupted);
    return EXIT_SUCCESS;
}

static void simulate_add(struct scene_sums *total, const struct scene_sums *part)
{
    total->worlds += part->worlds;
    total->calls += part->calls;
    total->acknowledged += part->acknowledged;
    total->attempts += part->attempts;
    total->events += part->events;
    total->kills += part->kills;
    total->cuts += part->cuts;
    total->stops += part->stops;
    total->failed_commits += part->failed_commits;
    total->failures += part->failures;
}

static void simulate_print(uint64_t seed, const struct scene_sums *total)
{
    printf("seed %llu: %llu worlds, %llu calls, %llu acknowledged assignments, %llu attempts, %llu "
           "events, %llu kills, %llu power cuts, %llu stops, %llu failed commits, %llu failures of "
           "the disk; nothing found; trace of the first world %016llx\n",
           (unsigned long long)seed, (unsigned long long)total->worlds,
           (unsigned long long)total->calls, (unsigned long long)total->acknowledged,
           (unsigned long long)total->attempts, (unsigned long long)total->events,
           (unsigned long long)total->kills, (unsigned long long)total->cuts,
           (unsigned long long)total->stops, (unsigned long long)total->failed_commits,
           (unsigned long long)total->failures, (unsigned long long)total->trace);
}

/* The jobs play worlds side by side. */
static int simulate_run(uint64_t seed, double minutes, size_t jobs)
{
    struct scene_sums *parts = sums, total = {0};
    int result = EXIT_SUCCESS, status = 0;

    fflush(stdout);
    for (size_t job = 0; job < jobs; job++) {
        pid_t child;

        sums = &parts[job];
        child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            exit(simulate_worlds(seed + job * JOB_SEEDS, minutes));
        }
        if (child < 0) {
            perror("cannot begin a job");
            result = EXIT_FAILURE;
        }
    }
    while (wait(&status) >= 0 || errno == EINTR)
        result = status ? EXIT_FAILURE : result;
    total.trace = parts[0].trace;
    for (size_t job = 0; job < jobs; job++)
        simulate_add(&total, &parts[job]);
    if (result == EXIT_SUCCESS)
        simulate_print(seed, &total);
    return result;
}

static const char usage[] =
    "simulate [--seed N] [--minutes M] [--jobs N] [--fault NAME]\n"
    "simulate --replay FILE [--tell] [--fault NAME]\n"
    "simulate --self-test [--seed N] [--fault NAME]\n"
    "simulate --declared [--seed N]\n"
    "Runs acpd in simulated worlds: one without --minutes, with a fresh seed without --seed, as\n"
    "many at once as there are processors without --jobs. --replay: the world of a plan; --tell:\n"
    "and prints what happens in it. --self-test: whether each of the faults that can be put into\n"
    "acpd is found; --fault: with one of them, by the name that --self-test prints. --declared:\n"
    "whether each declared parameter of each method is sent, and taken.\n";

struct options {
    uint64_t seed;
    double minutes;
    uint64_t jobs;
    const char *replay;
    bool tells, tests_itself, covers;
};

static bool simulate_parse_number(const char *text, uint64_t *ret_number)
{
    char *end;

    errno = 0;
    *ret_number = strtoull(text, &end, 10);
    return isdigit((unsigned char)text[0]) && !*end && !errno;
}

static bool simulate_parse_minutes(const char *text, double *ret_minutes)
{
    char *end;

    *ret_minutes = strtod(text, &end);
    return isdigit((unsigned char)text[0]) && !*end && *ret_minutes <= MINUTES_MAX;
}

static bool simulate_take_option(int c, struct options *options)
{
    switch (c) {
    case 's':
        return simulate_parse_number(optarg, &options->seed);
    case 'm':
        return simulate_parse_minutes(optarg, &options->minutes);
    case 'j':
        return simulate_parse_number(optarg, &options->jobs) && options->jobs > 0 &&
               options->jobs <= JOBS_MAX;
    case 'f':
        return faults_name(fault = faults_find(optarg)) != NULL;
    case 'r':
        options->replay = optarg;
        return true;
    case 'v':
        options->tells = true;
        return true;
    case 'd':
        options->covers = true;
        return true;
    default:
        options->tests_itself = true;
        return true;
    }
}

/* Each form of the command has options of its own. */
static bool simulate_may_give(const struct options *options, const char *given)
{
    const char *known = options->tests_itself ? "tsf"
                        : options->covers     ? "ds"
                        : options->replay     ? "rvf"
                                              : "smjf";

    return given[strspn(given, known)] == '\0';
}

static bool simulate_parse(int argc, char **argv, struct options *ret_options)
{
    static const struct option long_options[] = {{"seed", required_argument, NULL, 's'},
                                                 {"minutes", required_argument, NULL, 'm'},
                                                 {"jobs", required_argument, NULL, 'j'},
                                                 {"fault", required_argument, NULL, 'f'},
                                                 {"replay", required_argument, NULL, 'r'},
                                                 {"tell", no_argument, NULL, 'v'},
                                                 {"self-test", no_argument, NULL, 't'},
                                                 {"declared", no_argument, NULL, 'd'},
                                                 {0}};
    char given[16] = "";
    int c;

    *ret_options = (struct options){.seed = (uint64_t)time(NULL) * SECOND_SEEDS};
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        size_t count = strlen(given);

        if (c == '?' || count + 1 == sizeof(given))
            return false;
        given[count] = (char)c;
        if (!simulate_take_option(c, ret_options)) {
            fprintf(stderr, "%s: not a value of this option\n", optarg);
            return false;
        }
    }
    if (!ret_options->jobs)
        ret_options->jobs = ret_options->minutes > 0 ? (size_t)get_nprocs() : 1;
    return optind == argc && simulate_may_give(ret_options, given);
}

/* Ctrl-C or SIGTERM: the totals so far. */
static void simulate_on_interrupt(int number UNUSED)
{
    is_interrupted = 1;
}

int main(int argc, char **argv)
{
    struct options options;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout), EXIT_SUCCESS;
    if (!simulate_parse(argc, argv, &options))
        return fputs(usage, stderr), EXIT_FAILURE;
    if (options.tells)
        world_tell();
    sums = mmap(NULL, JOBS_MAX * sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (sums == MAP_FAILED)
        return perror("mmap"), EXIT_FAILURE;
    disk_install();
    signal(SIGINT, simulate_on_interrupt);
    signal(SIGTERM, simulate_on_interrupt);
    if (options.tests_itself)
        return simulate_test_itself(options.seed);
    if (options.covers)
        return simulate_covers(options.seed) ? EXIT_SUCCESS : EXIT_FAILURE;
    if (options.replay)
        return simulate_replay(options.replay);
    return simulate_run(options.seed, options.minutes, options.jobs);
}

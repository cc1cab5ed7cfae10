/* pty.c: runs a command on a pseudo-terminal and plays a user at it.
 *
 *   mascon_pty COMMAND ARGS... < SCRIPT
 *
 * A script has one step a line:
 *   type TEXT        sends TEXT; \n return, \t TAB, \e escape, \\ backslash, ^X the key Control-X, ^^ a ^
 *   expect TEXT      waits until TEXT is in the output that came after the last match
 *   pause MS         lets the command work
 *   size ROWS COLUMNS [WIDTH HEIGHT]   of the terminal, in characters and in pixels
 * Prints the command's output, then "times:" with the milliseconds that each expect waited since the
 * step before it, then "status N" (128 + N after a signal). A text that does not come within WAIT_MS ends
 * the run with status 200.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 10000, OUTPUT_BYTES = 1 << 20, LINE_BYTES = 4096, MAX_TIMES = 256 };

static char output[OUTPUT_BYTES + 1];
static size_t length, seen; /* bytes of output; how far expectations have consumed it */
static double times[MAX_TIMES];
static int n_times, terminal;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Takes what comes within some milliseconds: 1 something, 0 nothing, -1 the command has closed it. */
static int take(int ms) {
    struct pollfd p = {terminal, POLLIN, 0};
    if (poll(&p, 1, ms) <= 0) return 0;
    ssize_t n = read(terminal, output + length, OUTPUT_BYTES - length);
    if (n <= 0) return -1;
    length += (size_t)n;
    output[length] = 0;
    return 1;
}

static void pause_for(double ms) {
    double end = now_ms() + ms;
    for (double left = ms; left > 0; left = end - now_ms()) {
        if (take((int)left + 1) < 0) return;
    }
}

/* 0 when the text does not come. */
static int expect(const char *text) {
    double begun = now_ms();
    for (;;) {
        const char *at = memmem(output + seen, length - seen, text, strlen(text));
        if (at) {
            seen = (size_t)(at - output) + strlen(text);
            if (n_times < MAX_TIMES) times[n_times++] = now_ms() - begun;
            return 1;
        }
        double left = WAIT_MS - (now_ms() - begun);
        if (left <= 0 || take((int)left) < 0) return 0;
    }
}

static void type(const char *text) {
    char keys[LINE_BYTES];
    size_t n = 0;
    for (const char *s = text; *s; s++) {
        char c = *s;
        if (c == '\\' && s[1]) {
            c = *++s;
            c = c == 'n' ? '\r' : c == 't' ? '\t' : c == 'e' ? '\033' : c;
        } else if (c == '^' && s[1]) {
            c = *++s;
            if (c != '^') c = (char)(c & 31);
        }
        keys[n++] = c;
    }
    for (size_t done = 0; done < n;) {
        ssize_t m = write(terminal, keys + done, n - done);
        if (m < 0 && errno != EINTR) return;
        if (m > 0) done += (size_t)m;
    }
}

/* Plays the script; 0 when an expectation failed. */
static int play(FILE *script) {
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, script)) {
        line[strcspn(line, "\n")] = 0;
        struct winsize size = {0, 0, 0, 0};
        if (strncmp(line, "type ", 5) == 0) {
            type(line + 5);
        } else if (strncmp(line, "pause ", 6) == 0) {
            pause_for(atof(line + 6));
        } else if (sscanf(line, "size %hu %hu %hu %hu", &size.ws_row, &size.ws_col, &size.ws_xpixel,
                          &size.ws_ypixel) >= 2) {
            ioctl(terminal, TIOCSWINSZ, &size);
        } else if (strncmp(line, "expect ", 7) == 0 && !expect(line + 7)) {
            snprintf(output + length, OUTPUT_BYTES - length, "\nnot seen: %s\n", line + 7);
            length += strlen(output + length);
            return 0;
        }
    }
    return 1;
}

int main(int argc, char **argv) {
    struct winsize size = {24, 80, 0, 0};
    if (argc < 2) {
        fputs("usage: mascon_pty COMMAND ARGS... < SCRIPT\n", stderr);
        return 2;
    }
    pid_t child = forkpty(&terminal, NULL, NULL, &size);
    if (child < 0) {
        perror("mascon_pty");
        return 2;
    }
    if (child == 0) {
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    int good = play(stdin), status = 0;
    /* The command has some time to end by itself. */
    double end = now_ms() + (good ? WAIT_MS : 200);
    pid_t ended = 0;
    while (now_ms() < end && (ended = waitpid(child, &status, WNOHANG)) == 0) {
        if (take(5) < 0) usleep(1000);
    }
    if (ended == 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        if (good) status = 201 << 8; /* it did not end */
    }
    while (take(0) > 0) {
    }
    fwrite(output, 1, length, stdout);
    printf("\ntimes:");
    for (int i = 0; i < n_times; i++) printf(" %.1f", times[i]);
    printf("\nstatus %d\n", !good               ? 200
                            : WIFEXITED(status) ? WEXITSTATUS(status)
                                                : 128 + WTERMSIG(status));
    return 0;
}

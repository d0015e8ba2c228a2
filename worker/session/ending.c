/* How a session ends: by its program, by a worker's word, by a signal to the holder. Nothing stays behind. */
#include "worker/session/session.h"
#include "worker/session/peer.h"
#include "worker/session/tree.h"
#include "proto/base/clock.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define KILL_AGAIN_MS 100u
#define EXIT_AGAIN_MIN_MS 250u
#define EXIT_AGAIN_MAX_MS 30000u

static void send_signal(struct session *session, int signal)
{
	size_t count = 0;
	int r;

	if (signal == SIGKILL && session->cgroup.dir)
		(void)cgroup_kill(&session->cgroup); /* and what was moved out of it is still a child of ours */
	r = tree_signal(signal, &count);

	if (r)
		log_error(&session->log, "the session's processes cannot be found: %s", strerror(-r));
	/* Never without any way: the program's process group is ours until it was waited for. */
	if (r && session->phase == SESSION_RUNS && session->pty.pid > 0)
		(void)kill(-session->pty.pid, signal);
}

static int kill_fires(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct session *session = userdata;

	/* An interactive shell does not mind SIGTERM, but goes when its terminal does. */
	if (session->kill == KILL_TERM) {
		session->kill = KILL_HANGUP;
		send_signal(session, SIGHUP);
		session_arm(session, &session->kill_timer, session->kill_grace_ms - session->kill_grace_ms / 4, kill_fires);
		return 0;
	}
	session->kill = KILL_KILL;
	send_signal(session, SIGKILL);
	session_arm(session, &session->kill_timer, KILL_AGAIN_MS, kill_fires); /* for what was forked meanwhile */
	return 0;
}

void ending_kill(struct session *session, uint64_t grace_ms)
{
	if (session->phase == SESSION_OVER || session->kill == KILL_KILL)
		return;
	if (!grace_ms) {
		session->kill = KILL_HANGUP;
		(void)kill_fires(NULL, 0, session);
		return;
	}
	if (session->kill != KILL_NONE && grace_ms >= session->kill_grace_ms)
		return;
	session->kill = KILL_TERM;
	session->kill_grace_ms = grace_ms;
	send_signal(session, SIGTERM);
	send_signal(session, SIGCONT); /* a stopped process cannot end */
	session_arm(session, &session->kill_timer, grace_ms / 4, kill_fires);
}

static void close_terminal(struct session *session)
{
	bool closed;

	pty_close_slave(&session->pty);
	session_drain(session, SIZE_MAX, &closed);
	session->pty_source = sd_event_source_disable_unref(session->pty_source);
	pty_deinit(&session->pty);
	buf_deinit(&session->input);
}

/* What cannot be written (disk full) stays in memory, is told to every worker that connects, and is tried again. */
static int write_exit(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct session *session = userdata;
	int r;

	transcript_finish(session->transcript);
	r = holder_exit_write(session->dir, &session->exit);
	if (!r) {
		if (session->exit_wait_ms)
			log_info(&session->log, "%s/exit is written now", session->dir);
		return 0;
	}
	if (!session->exit_wait_ms)
		log_error(&session->log, "%s/exit cannot be written: %s: it is kept and tried again", session->dir, strerror(-r));
	session->exit_wait_ms = session->exit_wait_ms ? session->exit_wait_ms * 2 : EXIT_AGAIN_MIN_MS;
	if (session->exit_wait_ms > EXIT_AGAIN_MAX_MS)
		session->exit_wait_ms = EXIT_AGAIN_MAX_MS;
	session_arm(session, &session->exit_timer, session->exit_wait_ms, write_exit);
	return 0;
}

static void finish(struct session *session)
{
	struct peer *peer, *next;

	session->kill_timer = sd_event_source_disable_unref(session->kill_timer);
	close_terminal(session);
	cgroup_deinit(&session->cgroup);
	session->flush_timer = sd_event_source_disable_unref(session->flush_timer);
	session_keyframe(session); /* the last picture, for whoever asks for it later */
	session->exit.time_ms = clock_wall_ms();
	(void)write_exit(NULL, 0, session);
	session->phase = SESSION_OVER;
	emulator_end_synchronized(session->emulator);
	session_show(session);
	list_for_each_safe(peer, next, &session->peers, link)
		peer_tell_exit(peer);
	if (session->leave_when_over)
		(void)sd_event_exit(session->event, 0);
}

static void note_end(struct session *session, int status)
{
	session->phase = SESSION_ENDS;
	if (session->exit.reason)
		return; /* what ended is only the child that could not become the program */
	if (WIFSIGNALED(status))
		session->exit.signal = WTERMSIG(status);
	else
		session->exit.code = WEXITSTATUS(status);
}

static int child_ended(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct session *session = userdata;
	int status;
	pid_t pid;

	if (session->phase == SESSION_OVER)
		return 0;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == session->pty.pid && session->phase == SESSION_RUNS)
			note_end(session, status);
	if (session->phase == SESSION_RUNS)
		return 0;
	if (pid < 0 && errno == ECHILD)
		finish(session);
	else if (session->kill == KILL_NONE)
		ending_kill(session, session->grace_ms < SESSION_LEFTOVER_GRACE_MS ? session->grace_ms : SESSION_LEFTOVER_GRACE_MS);
	return 0;
}

static int asked_to_leave(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct session *session = userdata;

	session->leave_when_over = true;
	if (session->phase == SESSION_OVER)
		return sd_event_exit(session->event, 0);
	ending_kill(session, session->grace_ms);
	return 0;
}

int ending_init(struct session *session)
{
	static const struct {
		int signal;
		sd_event_signal_handler_t handler;
	} signals[] = { { SIGCHLD, child_ended }, { SIGTERM, asked_to_leave }, { SIGINT, asked_to_leave } };
	sigset_t mask;
	int r = 0;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i].signal);
	if (sigprocmask(SIG_SETMASK, &mask, NULL) < 0)
		return -errno;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
		r = sd_event_add_signal(session->event, &session->signal_sources[i], signals[i].signal, signals[i].handler, session);
	return r < 0 ? r : 0;
}

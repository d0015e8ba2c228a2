/* Watchers of a screen: a laggard skips frames, nobody waits for it, and everybody ends with the same picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "worker/service/watch.h"

struct holder {
	struct screen screen, sent;
	uint64_t frame;
};

/* What a holder sends after something was printed. */
static int print(struct holder *holder, struct series *series, char c)
{
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	struct screen_row *row = &holder->screen.row[0];
	bool keyframe = holder->sent.frame == 0;
	int r;

	for (unsigned int i = 0; i < 5; i++)
		row->cells[i].glyph = (uint32_t)c;
	row->used = 5;
	screen_touch(&holder->screen, row);
	holder->screen.frame = ++holder->frame;
	assert_int_equal(screen_encode(keyframe ? NULL : &holder->sent, &holder->screen, &update, NULL), 0);
	assert_int_equal(screen_copy(&holder->sent, &holder->screen), 0);
	holder->sent.frame = holder->frame;
	r = series_take(series, update.data, update.len, holder->frame);
	return r;
}

struct console {
	struct watcher watcher;
	struct screen shows;
	unsigned int updates;
};

/* Whether something was sent, and applied on the other side. */
static bool sent(struct console *console, uint64_t now_ms, bool last)
{
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	uint64_t frame = 0;
	int r = watcher_next(&console->watcher, now_ms, last, &update, &frame);

	if (r == WATCH_E_NOTHING)
		return false;
	assert_int_equal(r, 0);
	assert_int_equal(screen_apply(&console->shows, update.data, update.len), 0);
	console->updates++;
	return true;
}

static void acknowledge(struct console *console)
{
	watcher_ack(&console->watcher, console->shows.frame, false);
}

struct scene {
	struct holder holder;
	struct series series;
	struct console fast, slow;
};

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	scene->holder.sent = SCREEN_NULL;
	assert_int_equal(screen_init(&scene->holder.screen, 20, 4), 0);
	series_init(&scene->series);
	scene->fast.shows = scene->slow.shows = SCREEN_NULL;
	watcher_init(&scene->fast.watcher, &scene->series, 0);
	watcher_init(&scene->slow.watcher, &scene->series, 0);
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	watcher_deinit(&scene->fast.watcher);
	watcher_deinit(&scene->slow.watcher);
	series_deinit(&scene->series);
	screen_deinit(&scene->fast.shows);
	screen_deinit(&scene->slow.shows);
	screen_deinit(&scene->holder.screen);
	screen_deinit(&scene->holder.sent);
	free(scene);
	return 0;
}

static void test_nothing_before_the_first_picture(void **state)
{
	struct scene *scene = *state;

	assert_false(sent(&scene->fast, 0, false));
	assert_int_equal(series_acknowledge(&scene->series), 0);
}

static void test_laggard_skips_frames(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(print(&scene->holder, &scene->series, 'a'), 0);
	assert_true(sent(&scene->slow, 0, false)); /* and does not answer for a long time */
	for (char c = 'a'; c <= 'z'; c++) {
		if (c > 'a')
			assert_int_equal(print(&scene->holder, &scene->series, c), 0);
		assert_false(sent(&scene->slow, 0, false));
		assert_true(sent(&scene->fast, 0, false));
		assert_int_equal(series_acknowledge(&scene->series), 0);
		acknowledge(&scene->fast);
		assert_int_equal(series_acknowledge(&scene->series), scene->holder.frame); /* the fastest sets the pace */
	}
	assert_int_equal(scene->fast.updates, 26);
	acknowledge(&scene->slow);
	assert_true(sent(&scene->slow, 0, false));
	assert_int_equal(scene->slow.updates, 2);
	assert_true(screen_equal(&scene->slow.shows, &scene->holder.screen));
	assert_true(screen_equal(&scene->fast.shows, &scene->holder.screen));
}

static void test_keyframe_when_asked(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(print(&scene->holder, &scene->series, 'a'), 0);
	assert_true(sent(&scene->fast, 0, false));
	screen_deinit(&scene->fast.shows); /* the console lost it */
	watcher_ack(&scene->fast.watcher, 1, true);
	assert_true(sent(&scene->fast, 0, false));
	assert_true(screen_equal(&scene->fast.shows, &scene->holder.screen));
	watcher_failed(&scene->fast.watcher); /* a full queue: the frame was thrown away */
	assert_true(sent(&scene->fast, 0, false));
	assert_true(screen_equal(&scene->fast.shows, &scene->holder.screen));
}

static void test_tile_keeps_its_rate(void **state)
{
	struct scene *scene = *state;

	scene->slow.watcher.interval_ms = 100;
	assert_int_equal(print(&scene->holder, &scene->series, 'a'), 0);
	assert_true(sent(&scene->slow, 1000, false));
	acknowledge(&scene->slow);
	assert_int_equal(watcher_due_ms(&scene->slow.watcher), UINT64_MAX);
	assert_int_equal(print(&scene->holder, &scene->series, 'b'), 0);
	assert_int_equal(watcher_due_ms(&scene->slow.watcher), 1100);
	assert_false(sent(&scene->slow, 1099, false));
	assert_true(sent(&scene->slow, 1100, false));
}

static void test_last_picture_is_not_held_back(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(print(&scene->holder, &scene->series, 'a'), 0);
	assert_true(sent(&scene->slow, 0, false));
	assert_int_equal(print(&scene->holder, &scene->series, 'b'), 0);
	assert_false(sent(&scene->slow, 0, false));
	assert_true(sent(&scene->slow, 0, true));
	assert_true(screen_equal(&scene->slow.shows, &scene->holder.screen));
}

static void test_update_that_does_not_fit(void **state)
{
	struct scene *scene = *state;
	struct series other;

	assert_int_equal(print(&scene->holder, &scene->series, 'a'), 0);
	series_init(&other);
	assert_int_equal(print(&scene->holder, &other, 'b'), WATCH_E_KEYFRAME);
	series_deinit(&other);
}

/* What a key draws: small, and after a pause. */
static void test_a_few_small_updates_ask_nothing(void **state)
{
	struct scene *scene = *state;
	struct console *console = &scene->fast;
	uint64_t now_ms = 1000;

	assert_int_equal(print(&scene->holder, &scene->series, 'a'), 0);
	assert_true(sent(console, now_ms, false));
	assert_int_equal(console->watcher.in_flight, 1); /* a keyframe */
	acknowledge(console);
	for (char c = 'b'; c < 'b' + 8; c++) {
		assert_int_equal(print(&scene->holder, &scene->series, c), 0);
		assert_true(sent(console, now_ms += 10, false));
		assert_int_equal(console->watcher.in_flight, 0);
		assert_int_equal(series_acknowledge(&scene->series), scene->holder.frame);
	}
	assert_int_equal(print(&scene->holder, &scene->series, 'x'), 0);
	assert_true(sent(console, now_ms += 10, false));
	assert_int_equal(console->watcher.in_flight, scene->holder.frame);
	assert_int_equal(print(&scene->holder, &scene->series, 'y'), 0);
	assert_false(sent(console, now_ms += 10, false));
	acknowledge(console);
	assert_true(sent(console, now_ms, false));
	assert_int_equal(console->watcher.in_flight, 0);
	assert_int_equal(print(&scene->holder, &scene->series, 'z'), 0);
	assert_true(sent(console, now_ms + 1, false)); /* without a pause */
	assert_int_equal(console->watcher.in_flight, scene->holder.frame);
	assert_true(screen_equal(&console->shows, &scene->holder.screen));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_before_the_first_picture, setup, teardown),
		cmocka_unit_test_setup_teardown(test_laggard_skips_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keyframe_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tile_keeps_its_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_picture_is_not_held_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_update_that_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_few_small_updates_ask_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "console/tui/view.h"

static void move_by(struct scroll *scroll, size_t step, bool down)
{
	if (down)
		scroll->selected = scroll->count - scroll->selected > step ? scroll->selected + step : scroll->count - 1;
	else
		scroll->selected = scroll->selected > step ? scroll->selected - step : 0;
}

bool scroll_request(struct scroll *scroll, enum request request)
{
	size_t page = scroll->page > 1 ? scroll->page - 1 : 1;

	if (request < REQUEST_UP || request > REQUEST_LAST || request == REQUEST_LEFT || request == REQUEST_RIGHT)
		return false;
	if (!scroll->count)
		return true;
	switch (request) {
	case REQUEST_UP:
	case REQUEST_DOWN:
		move_by(scroll, 1, request == REQUEST_DOWN);
		break;
	case REQUEST_PAGE_UP:
	case REQUEST_PAGE_DOWN:
		move_by(scroll, page, request == REQUEST_PAGE_DOWN);
		break;
	default:
		scroll->selected = request == REQUEST_FIRST ? 0 : scroll->count - 1;
	}
	scroll_fit(scroll, scroll->count, scroll->page);
	return true;
}

void scroll_fit(struct scroll *scroll, size_t count, size_t page)
{
	scroll->count = count;
	scroll->page = page;
	if (scroll->selected >= count)
		scroll->selected = count ? count - 1 : 0;
	if (scroll->selected < scroll->top)
		scroll->top = scroll->selected;
	if (page && scroll->selected >= scroll->top + page)
		scroll->top = scroll->selected - page + 1;
	if (count <= page)
		scroll->top = 0;
	else if (scroll->top > count - page)
		scroll->top = count - page;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that want a CPU. See the header.
 */
#include "ka/load.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#define TEXT_BYTES 256u
#define WAIT_PART \
	8u /* of the time: kernel threads alone stay below a tenth, one thread too many comes to a half */
#define US_PER_MS 1000u

void load_open(struct load *load, const char *loadavg, const char *pressure)
{
	*load = (struct load){
			.loadavg_fd = open(loadavg, O_RDONLY | O_CLOEXEC),
			.pressure_fd = open(pressure, O_RDONLY | O_CLOEXEC),
	};
}

void load_close(struct load *load)
{
	if (load->loadavg_fd >= 0)
		(void)close(load->loadavg_fd);
	if (load->pressure_fd >= 0)
		(void)close(load->pressure_fd);
	load->loadavg_fd = load->pressure_fd = -1;
}

/* The first bytes of the file as a string. Return: false = not to be read. */
static bool read_text(int fd, char text[static TEXT_BYTES])
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, TEXT_BYTES - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* Did threads wait since the last look? A kernel that does not tell is taken to say yes. */
static bool somebody_waited(struct load *load, uint64_t now_ms)
{
	uint64_t since_us = (now_ms - load->looked_ms) * US_PER_MS;
	char text[TEXT_BYTES];
	uint64_t waited_us;
	bool is_first = load->looked_ms == 0;
	uint64_t grown_us;

	if (!read_text(load->pressure_fd, text) ||
			sscanf(text, "some avg10=%*f avg60=%*f avg300=%*f total=%" SCNu64,
					&waited_us) != 1)
		return true;
	grown_us = waited_us - load->waited_us;
	load->waited_us = waited_us;
	load->looked_ms = now_ms;
	return !is_first && grown_us >= since_us / WAIT_PART;
}

uint32_t load_runnable(struct load *load, uint64_t now_ms, uint32_t ours)
{
	char text[TEXT_BYTES];
	uint32_t n;

	if (!somebody_waited(load, now_ms))
		return 0;
	if (!read_text(load->loadavg_fd, text) || sscanf(text, "%*s %*s %*s %" SCNu32 "/", &n) != 1)
		return 0;
	return n > ours ? n - ours : 0;
}

/* SPDX-License-Identifier: ISC */
#include "plot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "out.h"
#include "say.h"

#define BARS_MAX 200
#define OURS     0xb03020 /* red, green, blue */
#define THEIRS   0x506070

static const char *path;
static unsigned n;
static struct {
	char label[140], unit[16];
	double median, min, max;
} bars[BARS_MAX];

int plot_begin(const char *file)
{
	int fd;

	path = file;
	n = 0;
	if (!path)
		return EXIT_DONE;
	/* Now, and not after minutes. */
	if (system("command -v gnuplot >/dev/null") != 0)
		return say(EXIT_UNAVAILABLE,
			"--plot: there is no gnuplot; Debian has it in gnuplot-nox");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return say(EXIT_IO, "--plot %s: %s", path, strerror(errno));
	(void)close(fd);
	return EXIT_DONE;
}

void plot_add(const struct row *row, const struct summary *s, bool near)
{
	if (!path || n == BARS_MAX)
		return;
	(void)snprintf(bars[n].label, sizeof(bars[n].label), "%s, %s%s", row->side, row->work,
		near ? "" : " (far)");
	(void)snprintf(bars[n].unit, sizeof(bars[n].unit), "%s", row->unit);
	bars[n].median = s->median;
	bars[n].min = s->min;
	bars[n++].max = s->max;
}

static void draw(FILE *f)
{
	fprintf(f,
		"set terminal svg noenhanced size 1000,%u background 'white' font 'sans-serif,12'\n",
		120 + 22 * n);
	fprintf(f, "set output ");
	fputc('\'', f);
	for (const char *c = path; *c; c++) {
		if (*c == '\'')
			fputc('\'', f);
		fputc(*c, f);
	}
	fputs("'\nset logscale x\nset format x '%.0s%c'\nset grid x\nset key off\n", f);
	fprintf(f, "set xlabel '%s, median with least and most; logarithmic'\n", bars[0].unit);
	fprintf(f, "set yrange [%u:-1] noreverse\nset style fill solid 0.6\n", n);
	fprintf(f, "set lmargin 50\n$rows << END\n");
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%u %g %g %g %d \"%s\"\n", i, bars[i].median, bars[i].min, bars[i].max,
			strncmp(bars[i].label, "sq", 2) == 0 ? OURS : THEIRS, bars[i].label);
	fputs("END\nplot $rows using 2:1:3:4:5:ytic(6) with xerrorbars pointtype 5 pointsize 1.2 "
	      "linecolor rgb variable\n",
		f);
}

int plot_end(void)
{
	FILE *f;
	int r;

	if (!path)
		return EXIT_DONE;
	if (n == 0)
		return say(EXIT_UNAVAILABLE, "nothing to draw");
	f = popen("exec gnuplot", "we");
	if (!f)
		return say(EXIT_UNAVAILABLE, "gnuplot: %s", strerror(errno));
	draw(f);
	r = pclose(f);
	if (r != 0)
		return say(EXIT_UNAVAILABLE, "%s was not drawn: gnuplot failed", path);
	return EXIT_DONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - ace-report: the curves of a run as text, SVG and one page of HTML (ecosystem.md section 3) */
#ifndef ACE_JOBS_REPORT_H
#define ACE_JOBS_REPORT_H

#include "base/settings.h"

/* The word is a folder of ace-train, or a metrics.jsonl. The curves go to stdout as text; report.html and, beside it, loss.svg,
 * learning_rate.svg, grad_norm.svg and speed.svg go into the folder, or where report_file says. Lines that cannot be read are
 * passed over and counted. ACE_ENOINPUT: no such run; ACE_EDATA: no update in it; ACE_ECREATE, ACE_EIO. */
enum status report_run(struct settings *s) ACE_NODISCARD;
#endif

#!/bin/bash
# e2e: seconds=150 tags=kernel
# SPDX-License-Identifier: BSD-3-Clause
# Bulk transfers by nc, each way, ETA as server and as client: equal sha256 at both ends.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
lab_up
# shellcheck source=bulk.inc
. "$here/bulk.inc"
bulk_all "$bytes"
finish

#!/bin/sh
# What Apache's mod_fcgid starts, see fcgid.conf. Must be executable.
exec /usr/bin/mapproxy serve /path/to/mymapproxy/etc/mapproxy.yaml --threads 1

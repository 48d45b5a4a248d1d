#!/bin/sh
# git asks here for the credentials of a remote. They come from the environment of this one git process, and only the
# host that they belong to gets them: after a redirect git would ask on behalf of another one.
case $1 in
  "Username for '$SLIPWAY_GIT_SCHEME://$SLIPWAY_GIT_HOST': ") printf '%s\n' "$SLIPWAY_GIT_USERNAME" ;;
  "Password for '$SLIPWAY_GIT_SCHEME://"*"@$SLIPWAY_GIT_HOST': ") printf '%s\n' "$SLIPWAY_GIT_PASSWORD" ;;
  *) exit 1 ;;
esac

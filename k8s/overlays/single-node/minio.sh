#!/bin/sh
# Bucket, user, encryption and lifecycle of the farm's object store. The same again changes nothing.
set -eu
mc alias set farm "$ENDPOINT" "$(cat /run/secrets/minio_root_user)" "$(cat /run/secrets/minio_root_password)" >/dev/null
mc mb --ignore-existing farm/cinefarm
mc anonymous set none farm/cinefarm
mc encrypt set sse-s3 farm/cinefarm
mc version suspend farm/cinefarm
# what a killed upload left; the farm tidies up by itself after a day
mc ilm rule ls farm/cinefarm >/dev/null 2>&1 || mc ilm rule add --expire-delete-marker farm/cinefarm

cat >/tmp/farm.json <<'END'
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"],
      "Resource": ["arn:aws:s3:::cinefarm"]
    },
    {
      "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
      "Resource": ["arn:aws:s3:::cinefarm/*"]
    }
  ]
}
END
mc admin policy create farm cinefarm /tmp/farm.json
mc admin user add farm "$(cat /run/secrets/cinefarm_s3_access_key)" "$(cat /run/secrets/cinefarm_s3_secret_key)"
mc admin policy attach farm cinefarm --user "$(cat /run/secrets/cinefarm_s3_access_key)" 2>/dev/null || true
